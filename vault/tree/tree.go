// Package tree is a snapshot's content: one sorted map from path to [Entry], cut into nodes.
//
// The map is a prolly tree. Its entries, in the order of [Compare], are cut into leaves; the leaves' first
// paths, keys and totals are the entries of the level above, and so on up to a level of one node, the root.
// Where a node ends is decided by a keyed hash of the last path in it and by nothing that came before, so:
//
//   - the same entries give the same root, whatever the history (equal trees are found equal by one comparison,
//     and an unchanged backup stores nothing);
//   - a changed entry rewrites its leaf and the path to the root; an added or removed one may besides split a
//     node or join two on each level, and touches nothing else. It makes no difference whether the files lie in
//     one folder or in a thousand;
//   - the builder needs memory for one node a level, whatever the size of the tree.
//
// The hash is keyed, so that nobody without the key can tell from the sizes of nodes which paths they hold, and
// nobody can make up file names that never, or always, end a node.
//
// The nodes are deterministic CBOR: docs/format-tree.md describes every byte. A [Sink] takes their plaintext,
// with the keys of the objects that it refers to, and a [Source] gives it back; this package neither seals nor
// reads anything itself. What it does not trust is the plaintext: a node that is not exactly as a builder
// would have written it (in order, within limits, with the totals that its parent promised) is an error, never
// a wrong answer.
//
// # Sizes
//
// A node ends after an entry with a probability that is proportional to the entry's own size, which makes
// a leaf [leafTarget] bytes long in the mean. Sizes so drawn vary widely (exponentially), and a random entry
// lies in a leaf of twice the mean: that, not the mean, is what one changed file costs. Measured with
// 200,000 files (BenchmarkEdit; sealed, with the references that packs list), the whole tree and what one
// changed file stores anew:
//
//	target    whole tree              one changed file
//	 8 KiB    13.4 MB, 2017 nodes      24 KB
//	16 KiB    13.1 MB,  996 nodes      38 KB
//	32 KiB    12.9 MB,  508 nodes      57 KB
//	64 KiB    12.8 MB,  272 nodes     104 KB
//
// Two thirds of an entry are keys, which do not compress, so large nodes save little. With 16 KiB, the node
// that one changed file rewrites has 32 KiB in the mean, and the whole tree is 2 % larger than it could be.
// Inner nodes have 64 children in the mean: each level costs an edit about 8 KB, and a reader a round trip.
package tree

import (
	"context"
	"strings"

	"github.com/holdfast-backup/holdfast/vault/seal"
)

// Limits. Whatever exceeds one is refused by the [Builder] and by the readers alike.
const (
	InlineMax = 64      // chunks that an entry holds itself; more go into list nodes
	MaxNode   = 1 << 20 // bytes of a node's plaintext
	MaxPath   = 32_767  // bytes of a path
	MaxName   = 1024    // bytes of one component of a path
	MaxLink   = 1 << 17 // bytes of a symbolic link's target
	MaxXattrs = 1 << 19 // bytes of an entry's extended attributes, names and values together
	MaxOwner  = 256     // bytes of a user or group name
	MaxHeight = 32      // levels of a tree or list above its leaves
)

// Type says what an entry is. Sockets are never stored.
type Type uint8

// The types.
const (
	File Type = iota
	Dir
	Symlink
	FIFO
	CharDevice
	BlockDevice
)

// String returns one word.
func (t Type) String() string {
	switch t {
	case File:
		return "file"
	case Dir:
		return "dir"
	case Symlink:
		return "symlink"
	case FIFO:
		return "fifo"
	case CharDevice:
		return "char-device"
	case BlockDevice:
		return "block-device"
	}
	return "unknown"
}

// Chunk is a piece of a file. Pieces follow each other without gaps.
type Chunk struct {
	Key  seal.Key // of the object; zero for a hole
	Size int64    // bytes, > 0; at most seal.MaxPlain unless it is a hole
	Hole bool     // zeros that take no room
}

// Xattr is an extended attribute.
type Xattr struct {
	Name  string
	Value []byte
}

// Entry is one file, folder or other thing of a snapshot.
type Entry struct {
	// Path has '/' between its components, none in front and none behind. Its bytes are those of the file
	// system, not necessarily UTF-8.
	Path string

	Type        Type
	Mode        uint32 // permissions, set-id and sticky bits: 07777
	Size        int64  // bytes of a File; 0 for others
	ModTime     int64  // nanoseconds since 1970
	UID, GID    uint32
	User, Group string // names of owner and group, empty if unknown
	Link        string // target of a Symlink: raw bytes
	Xattrs      []Xattr
	HardLink    uint64 // entries of a snapshot with the same number are one file; 0: the only one
	Rdev        uint64 // of a CharDevice or BlockDevice

	// The content of a File: either Chunks, at most InlineMax of them, or ChunkList, the key of the root of
	// a tree of list nodes. ChunkCount counts the chunks in both cases.
	Chunks     []Chunk
	ChunkList  seal.Key
	ChunkCount int64
}

// Base returns the last component of the path.
func (e *Entry) Base() string { return e.Path[strings.LastIndexByte(e.Path, '/')+1:] }

// Inline reports whether the entry holds its chunks itself, rather than in a list.
func (e *Entry) Inline() bool { return e.ChunkList == seal.Key{} }

// Sink takes nodes as they are built.
type Sink interface {
	// PutNode stores a node and returns its key. nodes are the keys of the nodes that it refers to, data
	// those of the file chunks; a key may occur more than once. plain, nodes and data are valid during the
	// call only.
	PutNode(ctx context.Context, plain []byte, nodes, data []seal.Key) (seal.Key, error)
}

// Source gives nodes back.
type Source interface {
	// Nodes returns the plaintexts of the objects, verified against their keys, in order. The caller does
	// not change them.
	Nodes(ctx context.Context, keys []seal.Key) ([][]byte, error)
}

// Root is a whole tree.
type Root struct {
	Key     seal.Key
	Height  int   // levels above the leaves
	Entries int64 // of every type
	Files   int64 // entries of type File
	Bytes   int64 // sum of their sizes
}

// Compare orders paths by component: a folder, then everything in it, then what follows the folder. It is
// the order of the bytes with '/' below every other.
func Compare(a, b string) int {
	i := shared(a, b)
	if i == len(a) || i == len(b) {
		return len(a) - len(b)
	}
	return rank(a[i]) - rank(b[i])
}

// rank is a byte's place in the order of paths. NUL occurs in no path.
func rank(c byte) int {
	if c == '/' {
		return 0
	}
	return int(c)
}

// shared returns how many leading bytes a and b have in common.
func shared(a, b string) int {
	n, i := min(len(a), len(b)), 0
	for i+8 <= n && a[i:i+8] == b[i:i+8] {
		i += 8
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// sharedBytes is [shared] without a conversion, which would be an allocation.
func sharedBytes(a string, b []byte) int {
	n, i := min(len(a), len(b)), 0
	for i+8 <= n && a[i:i+8] == string(b[i:i+8]) {
		i += 8
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// Within reports whether path is dir itself or lies under it. Everything is within "".
func Within(path, dir string) bool {
	return dir == "" || strings.HasPrefix(path, dir) && (len(path) == len(dir) || path[len(dir)] == '/')
}
