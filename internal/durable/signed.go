package durable

import (
	"bytes"
	"fmt"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum is the CRC-32C of data.
func Sum(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }

// AddSum returns the CRC-32C of what had the given sum with data behind it.
func AddSum(sum uint32, data []byte) uint32 { return crc32.Update(sum, castagnoli, data) }

// Sign puts a line before a body that names what it is, the version of its format, and its checksum:
//
//	evident index, format 1, crc32c 0a1b2c3d
func Sign(what string, version int, body []byte) []byte {
	return append([]byte(firstLine(what, version, Sum(body))+"\n"), body...)
}

func firstLine(what string, version int, sum uint32) string {
	return fmt.Sprintf("evident %s, format %d, crc32c %08x", what, version, sum)
}

// Body returns what [Sign] was given. The error is a [*DamagedError] or a [*VersionError] that names
// the file.
func Body(path, what string, version int, data []byte) ([]byte, error) {
	line, body, found := bytes.Cut(data, []byte("\n"))
	var got int
	var sum uint32
	_, err := fmt.Sscanf(string(line), "evident "+what+", format %d, crc32c %08x", &got, &sum)
	if !found || err != nil && got == 0 {
		return nil, Damaged(path, "its first line is not that of a manifest")
	}
	if got != version {
		return nil, &VersionError{Path: path, Got: got, Want: version}
	}
	if err != nil || string(line) != firstLine(what, version, sum) || Sum(body) != sum {
		return nil, Damaged(path, "wrong checksum")
	}
	return body, nil
}
