//go:build linux

package web

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// refused gives what is not to be taken, and reads why.
func (x *running) refused() {
	o := x.owner
	o.press("Backups", "How it came to be > Uploads")
	x.rows(4)
	x.sh(x.elsewhere, `
gzip -k `+secretArchive+`.sql; head -c 4000 `+secretArchive+`.sql.gz > cut.sql.gz
head -c 4000 `+secretArchive+`.sql > cut.sql
zip -qP hunter2 encrypted.zip `+secretArchive+`.sql
mkdir -p in/media; echo x > leads-out; (cd in/media; tar -P -cf ../../leads-out.tar ../../leads-out)
echo 'Dear diary' > diary.sql; head -c 3000 /bin/sh > program.zip; : > empty.sql; mkdir folder`)
	x.ok(os.WriteFile(filepath.Join(x.elsewhere, "bomb.zip"), bomb(x), 0o644))
	for i, r := range []struct{ file, says string }{
		{"cut.sql.gz", "“cut.sql.gz” is cut off: copy or make it again"},
		{"cut.sql", "cut.sql"},
		{"encrypted.zip", "“encrypted.zip” is encrypted: unpack it with its password"},
		{"leads-out.tar", "which leads out of it"},
		{"diary.sql", "“diary.sql” is none of the files that can be taken in"},
		{"program.zip", "“program.zip” is none of the files that can be taken in"},
		{"empty.sql", "“empty.sql” is empty"},
		{"bomb.zip", "“bomb.zip”: it unpacks to more than 400 times its size"},
	} {
		give := o.Attach
		if i%2 == 0 {
			give = o.Drop
		}
		x.ok(give(dropHere, filepath.Join(x.elsewhere, r.file)))
		o.sees(r.says)
		o.lacks("Seal and upload", "Checking")
	}
	x.ok(os.WriteFile(filepath.Join(x.elsewhere, "other.sql"), []byte("-- MySQL dump 10.13\n/*!40101 SET NAMES utf8 */;\nCREATE TABLE `a` (`b` int);\nINSERT INTO `a` VALUES (1);\n-- Dump completed on 2020-01-01\n"), 0o644))
	x.ok(o.Attach(dropHere, filepath.Join(x.elsewhere, "other.sql")))
	o.sees("1 table, 1 row", "“other.sql” is a dump of MariaDB or MySQL, and Shop has a database of PostgreSQL: put database_dump.json beside it")
	o.lacks("Seal and upload")
	o.press("Another file")
	x.ok(o.Drop(dropHere, x.archive(".sql"), x.archive(".zip")))
	o.sees("These are 2 files, and each backup is made of one")
	o.press("Restores", "Backups")
	x.rows(4)
	x.silent(o)
}

// bomb is a ZIP of a small size that unpacks to 320 MiB.
func bomb(x *running) []byte {
	const zeros, times = 16 << 20, 20
	var block, out bytes.Buffer
	f, err := flate.NewWriter(&block, flate.BestCompression)
	x.ok(err)
	f.Write(make([]byte, zeros)) //nolint:errcheck // into memory
	x.ok(f.Flush())
	// A block that was flushed can be repeated; 03 00 is an empty last one.
	packed := append(bytes.Repeat(block.Bytes(), times), 3, 0)
	sum := uint32(0)
	for range times {
		sum = crc32.Update(sum, crc32.IEEETable, make([]byte, zeros))
	}
	z := zip.NewWriter(&out)
	w, err := z.CreateRaw(&zip.FileHeader{Name: "media/zeros", Method: zip.Deflate, CRC32: sum, CompressedSize64: uint64(len(packed)), UncompressedSize64: zeros * times})
	x.ok(err)
	w.Write(packed) //nolint:errcheck // into memory
	x.ok(z.Close())
	return out.Bytes()
}

// large uploads much: it shows how far it is, it can be stopped, it goes on on another screen, and the page stays awake.
func (x *running) large() {
	const size = 64 << 20
	path := x.archive(".large.zip")
	film := make([]byte, size)
	rand.NewChaCha8([32]byte{5}).Read(film) //nolint:errcheck // it never fails
	out, err := os.Create(path)
	x.ok(err)
	z := zip.NewWriter(out)
	w, err := z.CreateHeader(&zip.FileHeader{Name: "media/" + secretFilm, Method: zip.Store})
	x.ok(err)
	_, err = w.Write(film)
	x.ok(err)
	x.ok(z.Close())
	x.ok(out.Close())

	o := x.owner
	// A page that is awake is let in every few milliseconds.
	x.ok(o.Run(`void (() => { let last = performance.now(); window.asleep = 0; setInterval(() => { const now = performance.now(); window.asleep = Math.max(window.asleep, now - last); last = now; }, 20); })()`, nil))
	moves := func(what string) {
		x.Helper()
		const bar = `document.querySelector("progress[aria-label^=\"` + `%` + `\"]")`
		of := strings.ReplaceAll(bar, "%", what)
		x.ok(o.Until("see a bar of “"+what+"”", `(window.far = `+of+`?.value) > 0`))
		x.ok(o.Until("see that it moves", of+`?.value > window.far`))
	}
	x.ok(o.Attach(dropHere, x.huge()))
	moves("Checking")
	o.press("Cancel")
	o.sees(dropHere)
	x.ok(o.Drop(dropHere, path)) // nobody waits for the rest of the other one
	o.sees("ZIP archive", "1 file, 64.0 MiB")
	o.types("Name of the backup", "the film")
	o.press("Seal and upload")
	moves("Sealing and sending")
	o.press("Schedules")
	o.sees("No schedule yet")
	moves("Sealing and sending")
	o.press("Cancel", "Backups")
	o.sees("1 file, 64.0 MiB") // as it was chosen
	o.press("Seal and upload")
	o.press("Statistics") // while it is sent
	moves("Sealing and sending")
	const asks = `!dispatchEvent(new Event("beforeunload", { cancelable: true }))`
	x.ok(o.Until("be asked before the window is closed", asks))
	o.press("Backups")
	o.sees("large.zip” is stored, sealed")
	x.ok(o.Until("see it in the list", `[...document.querySelectorAll("table tbody tr")].some((r) => r.innerText.includes("the film"))`))
	x.ok(o.Until("be free to go", `!(`+asks+`)`))
	var asleep float64
	x.ok(o.Run(`window.asleep`, &asleep))
	x.Logf("the page was away for %.0f ms at most while %d MiB were checked and sent", asleep, size>>20)
	if asleep > 1000 {
		x.Errorf("the page was away for %.0f ms while it sealed", asleep)
	}

	folder := filepath.Join(x.dir, "cinema")
	o.press("Restore the backup of*", "Beside it, as a copy")
	o.types("Folder for the media", folder)
	x.ordered("Restore Shop")
	x.alike(map[string]string{secretFilm: string(film)}, folder)
	x.ok(os.RemoveAll(folder))
	x.silent(o)
}

// huge is a tar of 2 GiB, most of it a hole.
func (x *running) huge() string {
	x.Helper()
	const size = 2 << 30
	f, err := os.Create(x.archive(".tar"))
	x.ok(err)
	defer f.Close()
	t := tar.NewWriter(f)
	x.ok(t.WriteHeader(&tar.Header{Name: "media/zeros", Mode: 0o644, Size: size}))
	x.ok(f.Truncate(512 + size + 1024))
	return f.Name()
}
