package api

// SnapshotRequest asks for a checked copy of an index.
type SnapshotRequest struct {
	Index string `json:"index,omitempty" doc:"name of the index; the first one by default"`
}

// Snapshot is a checked copy of an index: a tar file with the SHA-256 of everything in it.
type Snapshot struct {
	Name    string `json:"name" doc:"names the file in paths"`
	Bytes   int64  `json:"bytes"`
	Created string `json:"created" doc:"time, RFC 3339"`

	Documents int    `json:"documents,omitempty" doc:"in it; of a job's result"`
	Images    int    `json:"images,omitempty" doc:"likewise"`
	SHA256    string `json:"sha256,omitempty" doc:"of the list of checksums in it; of a job's result"`
}

// SnapshotList is the snapshots that the server keeps, newest first.
type SnapshotList struct {
	Snapshots []Snapshot `json:"snapshots"`
}

// IndexRequest makes an index: an empty one, or that of a snapshot.
type IndexRequest struct {
	Name     string `json:"name" doc:"letters, digits, dots and dashes, at most 64" min:"1" max:"64"`
	Snapshot string `json:"snapshot,omitempty" doc:"name of a snapshot that the server keeps" max:"200"`
}
