package main

import (
	"crypto/rand"
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A command is one line of stdin. Bytes are base64, as encoding/json has them.
type command struct {
	Cmd     string   // what to do
	At, N   int      // records: the first At stay, N are added
	Texts   []string // of records
	Salt    string   // what makes them other records
	Bytes   []byte   // what to judge or sign
	Path    string   // a tile path or a verifier key to judge
	Level   int      // of a stored hash
	Number  int64    // of a stored hash
	Size    int64    // of a tree
	Older   int64    // size of an older tree
	Indexes []int64  // of stored hashes
	Skip    bool     // sign with other keys only
}

// run obeys c and returns what to print.
func (c *command) run(db *database) any {
	switch c.Cmd {
	case "grow":
		db.grow(c.N, c.Salt)
		return len(db.texts)
	case "add": // records of the caller's, each the go.sum lines of one module version
		db.add(c.Texts)
		return len(db.texts)
	case "fork": // other records after the first At
		db.fork(c.At, c.N, c.Salt)
		return len(db.texts)
	case "sign":
		return c.sign(db)
	case "vectors":
		return c.vectors()
	case "tiles":
		return c.tiles()
	}
	return c.judge(db)
}

// judge says whether x/mod takes the bytes or the path, and what it makes of them.
func (c *command) judge(db *database) any {
	switch c.Cmd {
	case "openNote":
		n, err := note.Open(c.Bytes, note.VerifierList(db.verifier))
		if err != nil {
			return verdict{Err: err.Error()}
		}
		return verdict{OK: true, Text: n.Text, Count: len(n.UnverifiedSigs)}
	case "parseTree":
		tree, err := tlog.ParseTree(c.Bytes)
		return verdict{OK: err == nil, Text: tree.Hash.String(), Count: int(tree.N)}
	case "parseRecord":
		id, text, _, err := tlog.ParseRecord(c.Bytes)
		return verdict{OK: err == nil, Text: string(text), Count: int(id)}
	case "parseTilePath":
		tile, err := tlog.ParseTilePath(c.Path)
		return map[string]any{"ok": err == nil, "tile": toJSON(tile)}
	case "parseKey":
		_, err := note.NewVerifier(c.Path)
		return verdict{OK: err == nil}
	}
	panic("unknown command: " + c.Cmd)
}

type verdict struct {
	OK    bool   `json:"ok"`
	Text  string `json:"text"`
	Count int    `json:"count"`
	Err   string `json:"err"`
}

// sign signs any text by the database's key, and by N others made for it, which come first.
func (c *command) sign(db *database) any {
	var signers []note.Signer
	for i := range c.N {
		key, _, err := note.GenerateKey(rand.Reader, fmt.Sprintf("other%d.example", i))
		if err != nil {
			panic(err)
		}
		signers = append(signers, newSigner(key))
	}
	if !c.Skip {
		signers = append(signers, newSigner(db.signer))
	}
	msg, err := note.Sign(&note.Note{Text: string(c.Bytes)}, signers...)
	if err != nil {
		panic(err)
	}
	return msg
}

func newSigner(key string) note.Signer {
	signer, err := note.NewSigner(key)
	if err != nil {
		panic(err)
	}
	return signer
}

type tileJSON struct {
	Height int    `json:"height"`
	Level  int    `json:"level"`
	Number int64  `json:"number"`
	Width  int    `json:"width"`
	Path   string `json:"path"`
}

func toJSON(t tlog.Tile) tileJSON {
	if t.H == 0 {
		return tileJSON{}
	}
	return tileJSON{t.H, t.L, t.N, t.W, t.Path()}
}

// vectors are the arithmetic of one stored hash and one growth of a tree.
func (c *command) vectors() any {
	index := tlog.StoredHashIndex(c.Level, c.Number)
	level, number := tlog.SplitStoredHashIndex(index)
	tiles := []tileJSON{}
	for _, t := range tlog.NewTiles(8, c.Older, c.Size) {
		tiles = append(tiles, toJSON(t))
	}
	return map[string]any{
		"index": index, "level": level, "number": number,
		"count":    tlog.StoredHashCount(c.Size),
		"tile":     toJSON(tlog.TileForIndex(8, index)),
		"newTiles": tiles,
	}
}

// recorder notes which tiles x/mod asks for, and answers from a tree if there is one.
type recorder struct {
	asked []tileJSON
	read  func(tlog.Tile) ([]byte, error)
}

func (r *recorder) Height() int { return 8 }
func (r *recorder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, t := range tiles {
		r.asked = append(r.asked, toJSON(t))
		if r.read == nil {
			continue
		}
		data, err := r.read(t)
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}
func (r *recorder) SaveTiles([]tlog.Tile, [][]byte) {}

// tiles lists what x/mod's client reads: for hashes in a tree of Size, however large, or for
// the hash of the Older one where no indexes are given.
func (c *command) tiles() any {
	r := &recorder{asked: []tileJSON{}}
	reader := tlog.TileHashReader(tlog.Tree{N: c.Size}, r)
	if len(c.Indexes) > 0 {
		reader.ReadHashes(c.Indexes) // fails: there is no such tree, only its size
	} else {
		tlog.TreeHash(c.Older, reader)
	}
	return r.asked
}
