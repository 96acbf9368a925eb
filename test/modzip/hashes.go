//go:build ignore

// Prints the h1 hash of each zip named on standard input, or "error", by archive/zip alone: what
// golang.org/x/mod/sumdb/dirhash.HashZip says of a zip whose names are unique.
package main

import (
	"archive/zip"
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"sort"
)

func main() {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		sum, err := hashZip(in.Text())
		if err != nil {
			sum = "error"
		}
		fmt.Println(sum)
	}
}

func hashZip(file string) (string, error) {
	archive, err := zip.OpenReader(file)
	if err != nil {
		return "", err
	}
	defer archive.Close()
	sort.SliceStable(archive.File, func(i, j int) bool { return archive.File[i].Name < archive.File[j].Name })
	all := sha256.New()
	for _, entry := range archive.File {
		content, err := entry.Open()
		if err != nil {
			return "", err
		}
		digest := sha256.New()
		if _, err := io.Copy(digest, content); err != nil {
			return "", err
		}
		fmt.Fprintf(all, "%x  %s\n", digest.Sum(nil), entry.Name)
	}
	return "h1:" + base64.StdEncoding.EncodeToString(all.Sum(nil)), nil
}
