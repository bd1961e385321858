package drive_test

import (
	"testing"

	"github.com/tidelock-cache/tidelock/chaos/drive"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

func TestMain(m *testing.M) {
	drive.RunChild()
	stacktest.Main(m)
}
