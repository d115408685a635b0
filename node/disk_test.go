package node

import (
	"strings"
	"testing"
)

func TestAnIncomingImageNeedsRoomForItselfAndItsState(t *testing.T) {
	cfg := Config{Disk: DiskConfig{Reserve: 1000}}
	d, err := openDisk(&cfg, func(string) (uint64, error) { return 1200, nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := d.roomForState(100); err != nil {
		t.Errorf("an image that fits twice: %v", err)
	}
	if err := d.roomForState(101); err == nil || !strings.Contains(err.Error(), "202 are needed beside disk.reserve of 1000") {
		t.Errorf("an image that fits once: %v", err)
	}
}
