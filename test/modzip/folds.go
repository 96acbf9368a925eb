//go:build ignore

// Prints a line for each code point beyond ASCII that Go's Unicode tables know: the code point, the
// one that stands for its class under simple folding, and whether it is a letter.
package main

import (
	"bufio"
	"fmt"
	"os"
	"unicode"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		if unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cc, unicode.Cf, unicode.Co) {
			fmt.Fprintln(out, r, least(r), unicode.IsLetter(r))
		}
	}
}

// least walks the cycle that SimpleFold makes of a class.
func least(r rune) rune {
	min := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		if next < min {
			min = next
		}
	}
	return min
}
