package telemetry

import (
	"testing"

	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m) }
