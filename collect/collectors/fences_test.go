package collectors

import (
	"testing"

	"github.com/exhibit-dfir/exhibit/collect"
)

func TestAMountThatShowsAFolderAgainIsNotEntered(t *testing.T) {
	b := bindsOf([]collect.MountPoint{
		{Dev: "8:1", Root: "/", Point: "/", FSType: "ext4"},
		{Dev: "8:2", Root: "/", Point: "/data", FSType: "ext4"},
		{Dev: "8:1", Root: "/", Point: "/tmp/all", FSType: "ext4"},          // mount --bind / /tmp/all
		{Dev: "8:1", Root: "/tmp", Point: "/tmp/deep/er", FSType: "ext4"},   // of a folder it lies in
		{Dev: "8:1", Root: "/usr", Point: "/tmp/usr1", FSType: "ext4"},      // beside it
		{Dev: "8:1", Root: "/usr", Point: "/tmp/usr2", FSType: "ext4"},      // once more
		{Dev: "8:1", Root: "/usr/lib", Point: "/tmp/lib", FSType: "ext4"},   // a part of that
		{Dev: "8:2", Root: "/logs", Point: "/var/log/web", FSType: "ext4"},  // of another device
		{Dev: "8:1", Root: "/usrx", Point: "/tmp/usrx", FSType: "ext4"},     // whose name begins alike
		{Dev: "8:2", Root: "/", Point: "/data/a", FSType: "ext4"},           // below a mount of its device
		{Dev: "8:2", Root: "/b", Point: "/data/c", FSType: "ext4"},          // beside it
		{Dev: "8:2", Root: "/logs/old", Point: "/var/log/o", FSType: "xfs"}, // a part of what was entered
	})
	for _, c := range []struct {
		path  string
		again bool
	}{
		{"/", false},
		{"/tmp", false},
		{"/tmp/all", true},
		{"/tmp/deep/er", true},
		{"/tmp/usr1", false},
		{"/tmp/usr2", true},
		{"/tmp/lib", true},
		{"/var/log/web", false},
		{"/tmp/usrx", false},
		{"/data/a", true},
		{"/data/c", false},
		{"/var/log/o", true},
	} {
		if why := b.again(c.path); (why != "") != c.again {
			t.Errorf("%s: %q", c.path, why)
		}
	}
	if why := (binds{}).again("/tmp"); why != "" {
		t.Errorf("without a mount table: %q", why)
	}
}
