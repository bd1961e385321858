package lease

import "time"

// began is when the clock begins to count.
var began = time.Now()
