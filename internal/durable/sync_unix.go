//go:build unix

package durable

// syncsFolders says whether a folder's entries can and must be synced on their own.
const syncsFolders = true
