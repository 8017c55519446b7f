package sqlite

import "os"

// own leaves files to the folder's rules.
func own(*os.File, os.FileInfo) {}
