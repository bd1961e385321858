package stack

import "path/filepath"

// Running tells whether the process is there, paused or not.
func (s *Server) Running() bool {
	p := s.current()
	return p != nil && p.running()
}

// Pid is the id of the server's process, for Postgres that of the postmaster; 0 when it is not running.
func (s *Server) Pid() int {
	if p := s.current(); p != nil && p.running() {
		return p.pid()
	}
	return 0
}

// Port is the TCP port that the server listens on when it runs.
func (s *Server) Port() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.port
}

// Addr is the server's host and port.
func (s *Server) Addr() string {
	return address(s.Port())
}

// URL is where clients find the server.
func (s *Server) URL() string {
	return s.drv.url(s.Port())
}

// Dir is the server's folder, which holds its data and its log.
func (s *Server) Dir() string {
	return s.dir.path
}

// LogTail returns the last lines that the server logged in its present or last run.
func (s *Server) LogTail(lines int) string {
	s.mu.Lock()
	from := s.logFrom
	s.mu.Unlock()
	return tail(s.LogPath(), from, lines)
}

// LogPath is the file that the server logs to, all its runs one after the other. It is gone after Close where the
// package made the server's folder.
func (s *Server) LogPath() string {
	return filepath.Join(s.dir.path, "log")
}

func (s *Server) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}
