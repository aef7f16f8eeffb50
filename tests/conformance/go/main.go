// Judges notes, proofs and tiles of ours with golang.org/x/mod/sumdb, the code behind Go's checksum database.
//
// Reads a JSON array of cases from standard input and prints an array of answers. Everything that is judged is
// judged by the packages note and tlog; only cosignatures are put together here, and checked by crypto/ed25519.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type testCase struct {
	Op      string
	Bytes   []byte   // note: the note; proof: the tlog-proof; inclusion and proof: see Entry
	Vkeys   []string // keys to open a note with
	Entry   []byte
	Index   int64
	Indexes []int64
	Old     int64
	Size    int64
	OldRoot []byte
	Root    []byte
	Path    [][]byte
	Folder  string
}

type answer struct {
	Error   string     `json:"error"`
	Text    string     `json:"text,omitempty"`
	Signers []string   `json:"signers,omitempty"`
	Leaves  [][]byte   `json:"leaves,omitempty"`
	Paths   [][][]byte `json:"paths,omitempty"`
	Trees   [][][]byte `json:"trees,omitempty"`
}

func main() {
	var cases []testCase
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	judges := map[string]func(testCase) (answer, error){
		"note": openNote, "proof": openProof, "inclusion": inclusion, "consistency": consistency, "tiles": readTiles,
	}
	answers := make([]answer, len(cases))
	for i, c := range cases {
		judge, known := judges[c.Op]
		if !known {
			fmt.Fprintln(os.Stderr, "unknown op", c.Op)
			os.Exit(2)
		}
		found, err := judge(c)
		if err != nil {
			found = answer{Error: err.Error()}
		}
		answers[i] = found
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		os.Exit(2)
	}
}

// --- notes -------------------------------------------------------------------

// cosigner checks timestamped signatures (type 4), which x/mod does not know.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.hash }
func (c cosigner) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(sig), text)
	return ed25519.Verify(c.key, []byte(message), sig[8:])
}

func newVerifier(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) == 3 {
		key, err := base64.StdEncoding.DecodeString(parts[2])
		if err == nil && len(key) == 33 && key[0] == 4 {
			sum := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
			if fmt.Sprintf("%x", sum[:4]) != parts[1] {
				return nil, errors.New("wrong key hash")
			}
			return cosigner{parts[0], binary.BigEndian.Uint32(sum[:4]), key[1:]}, nil
		}
	}
	return note.NewVerifier(vkey)
}

func openNote(c testCase) (answer, error) {
	var verifiers []note.Verifier
	for _, vkey := range c.Vkeys {
		verifier, err := newVerifier(vkey)
		if err != nil {
			return answer{}, err
		}
		verifiers = append(verifiers, verifier)
	}
	opened, err := note.Open(c.Bytes, note.VerifierList(verifiers...))
	if err != nil {
		return answer{}, err
	}
	found := answer{Text: opened.Text}
	for _, sig := range opened.Sigs {
		found.Signers = append(found.Signers, fmt.Sprintf("%s+%08x", sig.Name, sig.Hash))
	}
	return found, nil
}

// openProof splits a tlog-proof into its parts and leaves the judging to note.Open and tlog.CheckRecord.
func openProof(c testCase) (answer, error) {
	parts := bytes.SplitN(c.Bytes, []byte("\n\n"), 2)
	if len(parts) != 2 {
		return answer{}, errors.New("no blank line")
	}
	opened, err := openNote(testCase{Bytes: parts[1], Vkeys: c.Vkeys})
	if err != nil {
		return answer{}, err
	}
	head, checkpoint := strings.Split(string(parts[0]), "\n"), strings.Split(opened.Text, "\n")
	if len(head) < 2 || head[0] != "c2sp.org/tlog-proof@v1" || len(checkpoint) != 4 {
		return answer{}, errors.New("not a tlog-proof")
	}
	index, err1 := strconv.ParseInt(strings.TrimPrefix(head[1], "index "), 10, 64)
	size, err2 := strconv.ParseInt(checkpoint[1], 10, 64)
	root, err3 := tlog.ParseHash(checkpoint[2])
	if err1 != nil || err2 != nil || err3 != nil {
		return answer{}, errors.New("malformed numbers or root")
	}
	var path tlog.RecordProof
	for _, line := range head[2:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return answer{}, err
		}
		path = append(path, hash)
	}
	return opened, tlog.CheckRecord(path, size, root, index, tlog.RecordHash(c.Entry))
}

// --- proofs ------------------------------------------------------------------

func hash(raw []byte) (h tlog.Hash) {
	copy(h[:], raw)
	return h
}

func hashes(path [][]byte) []tlog.Hash {
	var found []tlog.Hash
	for _, raw := range path {
		found = append(found, hash(raw))
	}
	return found
}

func inclusion(c testCase) (answer, error) {
	return answer{}, tlog.CheckRecord(hashes(c.Path), c.Size, hash(c.Root), c.Index, tlog.RecordHash(c.Entry))
}

func consistency(c testCase) (answer, error) {
	return answer{}, tlog.CheckTree(hashes(c.Path), c.Size, hash(c.Root), c.Old, hash(c.OldRoot))
}

// --- tiles -------------------------------------------------------------------

// folder reads tiles from files; tlog names the height, which is always 8, in its paths, and C2SP does not.
type folder string

func (f folder) Height() int                     { return 8 }
func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}
func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range tiles {
		path := "tile/" + strings.TrimPrefix(tile.Path(), "tile/8/")
		raw, err := os.ReadFile(filepath.Join(string(f), path))
		if err != nil {
			return nil, err
		}
		found = append(found, raw)
	}
	return found, nil
}

// readTiles checks every level-0 hash against the root and proves c.Indexes, and c.Indexes as old sizes, from tiles.
func readTiles(c testCase) (answer, error) {
	reader := tlog.TileHashReader(tlog.Tree{N: c.Size, Hash: hash(c.Root)}, folder(c.Folder))
	indexes := make([]int64, c.Size)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, int64(i))
	}
	leaves, err := reader.ReadHashes(indexes)
	if err != nil {
		return answer{}, err
	}
	// TileHashReader of x/mod 0.7.0 leaves some full tiles unchecked where several hashes of the tree hash share a
	// tile (it counts hashes where it means tiles). So the root is computed anew from the leaves that it returned.
	if root, err := treeHash(leaves); err != nil || root != hash(c.Root) {
		return answer{}, fmt.Errorf("the leaves have another root: %v", err)
	}
	found := answer{}
	for i := range leaves {
		found.Leaves = append(found.Leaves, leaves[i][:])
	}
	for _, index := range c.Indexes {
		path, err := tlog.ProveRecord(c.Size, index, reader)
		if err != nil {
			return answer{}, err
		}
		tree, err := tlog.ProveTree(c.Size, index+1, reader)
		if err != nil {
			return answer{}, err
		}
		found.Paths, found.Trees = append(found.Paths, raws(path)), append(found.Trees, raws(tree))
	}
	return found, nil
}

func treeHash(leaves []tlog.Hash) (tlog.Hash, error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	for i, leaf := range leaves {
		more, err := tlog.StoredHashesForRecordHash(int64(i), leaf, reader)
		if err != nil {
			return tlog.Hash{}, err
		}
		stored = append(stored, more...)
	}
	return tlog.TreeHash(int64(len(leaves)), reader)
}

func raws(path []tlog.Hash) [][]byte {
	found := [][]byte{}
	for i := range path {
		found = append(found, path[i][:])
	}
	return found
}
