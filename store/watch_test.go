package store

// WatchOpens has fn called for every DEK that the store opens.
func WatchOpens(s *Store, fn func()) { s.watchOpens = fn }
