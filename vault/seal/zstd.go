package seal

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A payload of codec 1 is one zstd frame (RFC 8878) of a single segment, hence with its content size in the
// header, and without a checksum or a dictionary. The AEAD says more than a checksum would.

// window is how far back a match may lie, in bytes. It spans the largest chunk that is cut by default; what
// it takes above that is memory for each encoder.
const window = 4 << 20

// overAlloc is room behind the output that lets the decoder take its fast path up to the end.
const overAlloc = 16

// maxEncoded returns how many bytes the encoder may write for n bytes: the frame's header, and 3 bytes for
// each block of 128 KiB that it keeps as it is.
func maxEncoded(n int) int { return n + n>>12 + 64 }

// encoders lends encoders by [Level]. They are made where they are needed and not by the pools, so that a program that only opens
// links no encoder.
var encoders [LevelNone]sync.Pool

var encoderLevels = [LevelNone]zstd.EncoderLevel{LevelDefault: zstd.SpeedDefault, LevelFast: zstd.SpeedFastest, LevelBetter: zstd.SpeedBetterCompression}

func newEncoder(level Level) *zstd.Encoder {
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(encoderLevels[level]),
		zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(window),
		zstd.WithSingleSegment(true), // or short frames would not say their size
		zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
}

var decoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxMemory(MaxPlain),
		zstd.WithDecoderMaxWindow(MaxPlain),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
}}

// compress appends p, compressed, to dst. What it appends may be longer than p.
func compress(dst, p []byte, level Level) []byte {
	if level < 0 || level >= LevelNone {
		level = LevelDefault
	}
	e, ok := encoders[level].Get().(*zstd.Encoder)
	if !ok {
		e = newEncoder(level)
	}
	defer encoders[level].Put(e)
	return e.EncodeAll(p, dst)
}

// decompress appends the content of the frame to dst. It takes no more memory than the frame says, and the
// frame may say no more than [MaxPlain].
func decompress(dst, frame []byte) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(frame); err != nil {
		return dst, fmt.Errorf("it holds no zstd frame: %w", err)
	}
	switch {
	case h.Skippable || !h.SingleSegment || !h.HasFCS || h.DictionaryID != 0 || h.HasCheckSum:
		return dst, errors.New("it holds a zstd frame of another kind")
	case h.FrameContentSize > MaxPlain:
		return dst, fmt.Errorf("it says that it holds %d bytes, and no object does", h.FrameContentSize)
	case !ends(frame[h.HeaderSize:]):
		return dst, errors.New("it holds something other than one zstd frame")
	}
	start, size := len(dst), int(h.FrameContentSize)
	dst = slices.Grow(dst, size+overAlloc)
	d := decoders.Get().(*zstd.Decoder)
	defer decoders.Put(d)
	out, err := d.DecodeAll(frame, dst[start:start:start+size+overAlloc])
	if err != nil {
		return dst, err
	}
	if len(out) != size {
		return dst, fmt.Errorf("it says that it holds %d bytes, and holds %d", size, len(out))
	}
	return dst[:start+size], nil
}

// ends reports whether the blocks of a frame, the last of them marked, are all that is there.
func ends(blocks []byte) bool {
	for len(blocks) >= 3 {
		head := uint32(blocks[0]) | uint32(blocks[1])<<8 | uint32(blocks[2])<<16
		last, kind, size := head&1 != 0, head>>1&3, int(head>>3)
		if kind == 1 { // one byte, repeated
			size = 1
		}
		if blocks = blocks[3:]; size > len(blocks) {
			return false
		}
		if blocks = blocks[size:]; last {
			return len(blocks) == 0
		}
	}
	return false
}
