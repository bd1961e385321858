package stack

import (
	"fmt"
	"os"
	"path/filepath"
)

// folder is where a server, or a stack of them, keeps its files.
type folder struct {
	path string
	temp bool // made by us under the system's folder for temporary files, and removed by us
}

// openFolder makes the folder at path, or a fresh temporary one when path is empty. Servers that run as another user
// must be able to pass through it.
func openFolder(path, name string) (folder, error) {
	if path == "" {
		return tempFolder(name)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return folder{}, fmt.Errorf("finding the folder of %s: %w", name, err)
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return folder{}, fmt.Errorf("making the folder of %s: %w", name, err)
	}
	return folder{path: path}, nil
}

func tempFolder(name string) (folder, error) {
	path, err := os.MkdirTemp("", "tidelock-"+name+"-")
	if err != nil {
		return folder{}, fmt.Errorf("making the folder of %s: %w", name, err)
	}
	f := folder{path: path, temp: true}
	if err := os.Chmod(path, 0o711); err != nil {
		_ = f.remove()
		return folder{}, fmt.Errorf("opening the folder of %s to its server: %w", name, err)
	}
	return f, nil
}

// data is what Wipe removes.
func (f folder) data() string {
	return filepath.Join(f.path, "data")
}

func (f folder) remove() error {
	if !f.temp {
		return nil
	}
	if err := os.RemoveAll(f.path); err != nil {
		return fmt.Errorf("removing %s: %w", f.path, err)
	}
	return nil
}
