package talk

// MethodOrderApplication seals an order to put an application back: ApplicationOrder -> Ordered.
const MethodOrderApplication = "orderApplication"

// ApplicationOrder is what the device of an application is to put back, and where.
type ApplicationOrder struct {
	Snapshot    string `json:"snapshot"`
	Device      Device `json:"device"`
	Application string `json:"application"`
	Part        string `json:"part"`     // full, database, media
	Database    string `json:"database"` // another one, that does not exist yet; "": in place
	Folder      string `json:"folder"`   // where the media go instead, an absolute path of the device; "": in place
	Conflict    string `json:"conflict"` // of media that exist: overwrite, skip
	Bare        bool   `json:"bare"`     // without a safety backup first
}
