// Command testdb serves a checksum database of made-up records on the loopback, with the
// server that golang.org/x/mod/sumdb has of its own, and judges whatever it is asked about
// with that module's client code. The tests compare src/sumdb with what it says.
//
// It prints one JSON line with its URL and key, then answers each JSON line on stdin with
// one on stdout, in order (see command), and ends with stdin.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/note"
)

const name = "sumdb.example"

// database is the tree served now. Starting anew is how it forks and shrinks.
type database struct {
	signer   string
	verifier note.Verifier

	mu     sync.Mutex
	texts  []string          // of the records, by number
	known  map[string]string // the same, by path@version
	server *sumdb.TestServer
}

// text makes record i up. The salt is what sets a forked tree's records apart.
func text(i int, salt string) string {
	path := fmt.Sprintf("example.com/m%d", i)
	hash := strings.Repeat("A", 43-len(strconv.Itoa(i))-len(salt)) + strconv.Itoa(i) + salt + "="
	return fmt.Sprintf("%s v1.0.0 h1:%s\n%s v1.0.0/go.mod h1:%s\n", path, hash, path, hash)
}

// reset serves an empty tree.
func (db *database) reset() {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.texts = nil
	known := make(map[string]string)
	db.known = known
	db.server = sumdb.NewTestServer(db.signer, func(path, vers string) ([]byte, error) {
		db.mu.Lock()
		defer db.mu.Unlock()
		text, ok := known[path+"@"+vers]
		if !ok {
			return nil, os.ErrNotExist
		}
		return []byte(text), nil
	})
}

// add puts records after the others: a TestServer does that when it is asked for a new one.
func (db *database) add(texts []string) {
	for _, text := range texts {
		line := strings.Fields(text)
		db.mu.Lock()
		db.known[line[0]+"@"+line[1]] = text
		db.texts = append(db.texts, text)
		db.mu.Unlock()
		if _, err := db.server.Lookup(context.Background(), module.Version{Path: line[0], Version: line[1]}); err != nil {
			log.Fatal(err)
		}
	}
}

// grow adds n made-up records.
func (db *database) grow(n int, salt string) {
	var texts []string
	for i := len(db.texts); len(texts) < n; i++ {
		texts = append(texts, text(i, salt))
	}
	db.add(texts)
}

// fork keeps the first at records and adds n others.
func (db *database) fork(at, n int, salt string) {
	first := db.texts[:at]
	db.reset()
	db.add(first)
	db.grow(n, salt)
}

func (db *database) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	db.mu.Lock()
	server := db.server
	db.mu.Unlock()
	defer func() {
		// TestServer panics where a tile is not in the tree.
		if recover() != nil {
			http.NotFound(w, r)
		}
	}()
	sumdb.NewServer(server).ServeHTTP(w, r)
}

func main() {
	signer, key, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := note.NewVerifier(key)
	if err != nil {
		log.Fatal(err)
	}
	db := &database{signer: signer, verifier: verifier}
	db.reset()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.Serve(listener, db)) }()

	out := json.NewEncoder(os.Stdout)
	out.Encode(map[string]string{"url": "http://" + listener.Addr().String(), "name": name, "verifierKey": key})
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		var c command
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			log.Fatal(err)
		}
		out.Encode(c.run(db))
	}
}
