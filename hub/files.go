package hub

const (
	noFileLimit = 1 << 20 // where the system names no lower one
	fileReserve = 64      // for the store, the listeners and the log; the rest is for connections
)
