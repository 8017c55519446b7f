package talk

// What a page and the program that seals uploads say to each other. The program has no keys but those that the keys lend it for one upload, over a
// port that the page passes on.
const (
	MethodCheck = "check" // Check, with the file -> Recognised, with Sealing: reads all of the file
	MethodSend  = "send"  // Send, with a port on which the keys lend -> Sent, with Sealing: seals and stores what was checked last for the application
	MethodLend  = "lend"  // of the keys: gives what sealing needs to the port that comes along
)

// Check says what the file is called, and which application gets it.
type Check struct {
	Name        string `json:"name"`
	ID          string `json:"id"`          // of the application
	Application string `json:"application"` // its name
}

// Recognised is what is in a file that was made elsewhere.
type Recognised struct {
	Kind       string `json:"kind"` // what the file is, in words
	Part       string `json:"part"` // database, media, full
	Engine     string `json:"engine,omitempty"`
	Tables     int    `json:"tables"`
	Rows       int64  `json:"rows"`
	MediaFiles int64  `json:"mediaFiles"`
	MediaBytes int64  `json:"mediaBytes"`
	DumpBytes  int64  `json:"dumpBytes"`
	Portable   bool   `json:"portable"` // it holds database_dump.json
	LeftOut    int    `json:"leftOut"`  // files beside these, which are not taken
}

// Send is an upload as beginImport began it.
type Send struct {
	Application string `json:"application"`
	Name        string `json:"name"`   // of the application
	Device      string `json:"device"` // of the application: its id
	DeviceName  string `json:"deviceName"`
	Title       string `json:"title"`

	Token    string `json:"token"`
	Backup   string `json:"backup"`
	Fence    int64  `json:"fence"`
	TTL      int    `json:"ttl"` // seconds
	Empty    bool   `json:"empty"`
	ChunkMin int    `json:"chunkMin"`
	ChunkAvg int    `json:"chunkAvg"`
	ChunkMax int    `json:"chunkMax"`
	MaxPack  int    `json:"maxPack"`
}

// Sealing is how far a check or an upload is.
type Sealing struct {
	Phase string `json:"phase"` // check, scan, upload, commit
	Bytes int64  `json:"bytes"`
	Total int64  `json:"total"` // 0: nobody knows
}

// Sent is what came of an upload.
type Sent struct {
	Snapshot string `json:"snapshot"`
	Bytes    int64  `json:"bytes"`    // that it holds
	Uploaded int64  `json:"uploaded"` // that were not stored yet
}

// Lent is what sealing needs: what travels from the keys to the program that seals.
type Lent struct {
	SpaceKey []byte `json:"spaceKey"`
	Identity []byte `json:"identity"`
}
