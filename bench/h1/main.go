// Command h1 hashes module zips with Go's own code, for bench/h1.ts to compare with.
//
// It reads file names from standard input, one a line, hashes each in turn in one thread, and
// prints one line per file: its h1 hash or "error: …". The last line is the time taken in
// milliseconds.
package main

import (
	"bufio"
	"fmt"
	"os"
	"time"

	"golang.org/x/mod/sumdb/dirhash"
)

func main() {
	var files []string
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		files = append(files, in.Text())
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	start := time.Now()
	for _, file := range files {
		sum, err := dirhash.HashZip(file, dirhash.Hash1)
		if err != nil {
			sum = fmt.Sprintf("error: %q", err)
		}
		fmt.Fprintln(out, sum)
	}
	fmt.Fprintln(out, float64(time.Since(start).Microseconds())/1000)
}
