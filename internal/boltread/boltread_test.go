package boltread

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

// write makes a database with the library itself.
func write(t testing.TB, fill func(*bbolt.Tx) error) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(fill); err != nil {
		t.Fatal(err)
	}
	return path
}

// varied has what the format knows: inline and nested buckets, many pages,
// values longer than a page, empty and binary keys.
func varied(tx *bbolt.Tx) error {
	for i := range 24 {
		b, err := tx.CreateBucketIfNotExists(fmt.Appendf(nil, "bucket %02d", i))
		if err != nil {
			return err
		}
		for j := range i * 12 {
			if err := b.Put(fmt.Appendf(nil, "key\x00%d", j), bytes.Repeat([]byte{byte(j)}, j*7%9000)); err != nil {
				return err
			}
		}
		for deep := range 5 {
			if b, err = b.CreateBucket(fmt.Appendf(nil, "\xff%d", deep)); err != nil {
				return err
			}
			if err := b.Put([]byte("v"), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func dump(b *Bucket, indent string, out *bytes.Buffer) error {
	return b.Each(func(e Entry) error {
		fmt.Fprintf(out, "%s%q %s %t\n", indent, e.Key, hex.EncodeToString(e.Value), e.Bucket != nil)
		if e.Bucket != nil {
			return dump(e.Bucket, indent+" ", out)
		}
		return nil
	})
}

// dumpAsLibrary is dump by bbolt.
func dumpAsLibrary(each func(func(k, v []byte) error) error, sub func([]byte) *bbolt.Bucket, indent string, out *bytes.Buffer) error {
	return each(func(k, v []byte) error {
		b := sub(k)
		fmt.Fprintf(out, "%s%q %s %t\n", indent, k, hex.EncodeToString(v), b != nil)
		if b != nil {
			return dumpAsLibrary(b.ForEach, b.Bucket, indent+" ", out)
		}
		return nil
	})
}

func TestReadsWhatTheLibraryReads(t *testing.T) {
	path := write(t, varied)
	// Deleting and adding makes pages that are free and others that are half full.
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		if err := tx.DeleteBucket([]byte("bucket 20")); err != nil {
			return err
		}
		return tx.Bucket([]byte("bucket 07")).Delete([]byte("key\x0011"))
	})
	if err != nil {
		t.Fatal(err)
	}
	var want, got bytes.Buffer
	err = db.View(func(tx *bbolt.Tx) error {
		return dumpAsLibrary(func(f func(k, v []byte) error) error {
			return tx.ForEach(func(name []byte, _ *bbolt.Bucket) error { return f(name, nil) })
		}, tx.Bucket, "", &want)
	})
	if err != nil {
		t.Fatal(err)
	}
	// The library still holds its lock: reading does not wait for it.
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mine, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := dump(mine.Root(), "", &got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) || want.Len() < 1<<20 {
		t.Errorf("read %d bytes of dump, the library %d", got.Len(), want.Len())
	}
	if b, err := mine.Root().Bucket("bucket 05", "\xff0", "\xff1"); err != nil || b == nil {
		t.Errorf("path of buckets: %v %v", b, err)
	}
	if b, err := mine.Root().Bucket("bucket 05", "no"); err != nil || b != nil {
		t.Errorf("a bucket that is not there: %v %v", b, err)
	}
	if err := mine.Changed(); err != nil {
		t.Errorf("unchanged: %v", err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("bucket 01")) }); err != nil {
		t.Fatal(err)
	}
	if err := mine.Changed(); !errors.Is(err, ErrChanged) {
		t.Errorf("changed: %v", err)
	}
}

func TestADamagedMetaBlockLeavesTheOther(t *testing.T) {
	path := write(t, varied)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	db, err := Open(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	if err := dump(db.Root(), "", &want); err != nil {
		t.Fatal(err)
	}
	older := int64(headerSize + 20)
	if db.txid%2 == 0 {
		older += db.size // page 0 has the even transactions
	}
	whole[older] ^= 1
	var got bytes.Buffer
	if db, err = Open(bytes.NewReader(whole)); err != nil {
		t.Fatal(err)
	}
	if err := dump(db.Root(), "", &got); err != nil || got.String() != want.String() {
		t.Errorf("%v, or another content", err)
	}
}

func TestRefusesWhatIsNoDatabase(t *testing.T) {
	for _, b := range [][]byte{nil, []byte("SQLite format 3\x00"), make([]byte, 1<<16)} {
		if _, err := Open(bytes.NewReader(b)); !errors.Is(err, ErrFormat) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
}

func FuzzRead(f *testing.F) {
	small := write(f, func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("v1"))
		if err != nil {
			return err
		}
		if b, err = b.CreateBucket([]byte("default")); err != nil {
			return err
		}
		return b.Put([]byte("k"), make([]byte, 5000))
	})
	seed, err := os.ReadFile(small)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(seed[:len(seed)/2])
	f.Fuzz(func(t *testing.T, in []byte) {
		db, err := Open(bytes.NewReader(in))
		if err != nil {
			return
		}
		n := 0
		stop := errors.New("enough")
		var walk func(*Bucket) error
		walk = func(b *Bucket) error {
			return b.Each(func(e Entry) error {
				if n++; n > 1000 {
					return stop
				}
				if e.Bucket != nil {
					return walk(e.Bucket)
				}
				return nil
			})
		}
		if err := walk(db.Root()); err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, stop) {
			t.Errorf("an error of another kind: %v", err)
		}
	})
}
