package bundle

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

func attacker(t testing.TB) *mutator {
	return &mutator{t: t, v: takeApart(t, minimal(t, testKey(t))), ours: testKey(t), enemy: otherKey(t)}
}

// A locator is not signed: whatever it says, Open must come back with an error.
func TestOpenBearsAnyLocator(t *testing.T) {
	m := attacker(t)
	for _, text := range []string{
		"seal 9223372036854775807 1", "seal 9223372036854775800 100", "seal 0 0", "seal 511 1", "leaves 9223372036854775807 9223372036854775807",
		"manifest-index 9223372036854775000 807", "member-index 1 9223372036854775807", "checkpoint 9223372036854775807 5", "seal -1 -1",
	} {
		parts := m.v.copied()
		p := &parts[index(parts, locatorMember)]
		word, _, _ := strings.Cut(text, " ")
		lines := strings.Split(string(p.data), "\n")
		for i, line := range lines {
			if strings.HasPrefix(line, word+" ") {
				lines[i] = text
			}
		}
		p.data = []byte(strings.Join(lines, "\n"))
		if word == "checkpoint" {
			p.data = []byte(strings.ReplaceAll(string(p.data), "seal ", "checkpoint 922337203685477580 5\nmore "))
		}
		file := m.plain(parts)
		if r, err := Open(bytes.NewReader(file), int64(len(file))); err == nil {
			if _, err := r.Prove(1); err == nil {
				t.Errorf("%s: opened and proven", text)
			}
		}
		if r := verify(t, file, trustTest(t)); r.Verdict != Altered {
			t.Errorf("%s: %s", text, r.Verdict)
		}
	}
}

func TestOpenBearsATailThatEndsInTheMiddleOfABlock(t *testing.T) {
	m := attacker(t)
	tar := bytes.Clone(m.v.tar)
	// The members around the seal, but cut 100 bytes short of a block, with a
	// locator where Open looks for it.
	locator := fmt.Appendf(nil, "exhibit-locator 1\nleaves 0 1\nmanifest-index 0 1\nmember-index 0 1\n")
	member := appendHeader(nil, &entry{name: locatorMember, size: int64(len(locator)), mtime: testTime.Truncate(time.Second)})
	member = append(member, locator...)
	for _, short := range []int{1, 100, 511} {
		cut := append(slices.Clone(tar), appendHeader(nil, &entry{name: sealMember, size: int64(8*tarBlock - short), mtime: testTime})...)
		at := len(cut)
		cut = append(cut, make([]byte, 8*tarBlock-short)...)
		copy(cut[len(cut)-4*tarBlock:], bytes.Replace(pad(member, len(member)), []byte("leaves 0 1"), fmt.Appendf(nil, "seal %d 1\nleaves 0 1", at), 1)[:2*tarBlock])
		file := m.frames(cut)
		if _, err := Open(bytes.NewReader(file), int64(len(file))); err == nil {
			t.Errorf("%d bytes short: opened", short)
		}
		r := &Reader{frames: newFrameCache(sliceAt(file), nil)}
		r.frames.frames, _ = readSeekTable(sliceAt(file), int64(len(file)))
		if got, err := r.membersFrom(int64(at)); err != nil || len(got) != 1 {
			t.Errorf("%d bytes short: %d members, %v", short, len(got), err)
		}
	}
}

// What follows the last checkpoint is not proven, and a report must not repeat
// what a trailer says there.
func TestTrailerBehindTheLastCheckpointIsNotBelieved(t *testing.T) {
	m := attacker(t)
	parts := m.v.copied()
	forged := parts[index(parts, manifestMember(1))]
	parts = parts[:index(parts, manifestMember(1))+1]
	parts[len(parts)-1] = forged // the batch with the trailer, without its checkpoint
	tar, _ := assemble(parts)
	file := m.frames(tar[:len(tar)-2*tarBlock])
	file = file[:len(file)-17-8]
	r := verify(t, file, trustTest(t))
	if r.Verdict != VerifiedPrefix || r.Proven != 1 || r.Unproven != 3 {
		t.Fatal(explain(r))
	}
	if r.Complete || r.Reason != "" || !r.Finished.IsZero() {
		t.Errorf("the end of the run is taken from an unproven trailer: %s", explain(r))
	}
}

// A member before a proven checkpoint that no record describes was planted, cut
// end or not.
func TestMemberWithoutRecordBeforeACheckpointIsAnAlterationInACutBundleToo(t *testing.T) {
	m := attacker(t)
	parts := m.v.copied()
	at := index(parts, manifestMember(1))
	planted := part{entry: entry{name: "files/file/planted", mtime: testTime}, data: []byte("x")}
	parts = slices.Insert(parts[:at+2], at, planted)
	tar, _ := assemble(parts)
	file := m.frames(tar[:len(tar)-2*tarBlock])
	if r := verify(t, file[:len(file)-17-8], trustTest(t)); r.Verdict != Altered {
		t.Errorf("verdict %s", r.Verdict)
	}
}

// within fails when work takes much longer than it must; what it guards
// against took minutes.
func within(t *testing.T, limit time.Duration, work func()) {
	t.Helper()
	start := time.Now()
	work()
	if took := time.Since(start); took > limit {
		t.Errorf("took %s, want less than %s", took, limit)
	}
}

func TestMapOfASparseFileInTinyPiecesIsReadOnce(t *testing.T) {
	for _, text := range []string{strings.Repeat("9", 8<<20), "8193\n" + strings.Repeat("1\n", 4<<20), strings.Repeat("\n", 8<<20)} {
		a := newAudit(context.Background(), &Report{}, newFrameWalk(bytes.NewReader(nil), 0, 1))
		w := &tarWalk{v: a}
		w.feed(appendHeader(nil, &entry{name: "files/file/x", sparse: true, size: int64(len(text)), real: 1 << 40, mtime: testTime}))
		within(t, 20*time.Second, func() {
			for b := []byte(text); len(b) > 0; b = b[min(len(b), 3):] {
				w.feed(b[:min(len(b), 3)])
			}
			w.feed(zeros[:-len(text)&(tarBlock-1)])
		})
		if !a.report.wrong || len(a.buf) > maxMap {
			t.Errorf("%.5q…: %d bytes kept, %s", text, len(a.buf), explain(a.report))
		}
	}
}

func TestSearchForFramesIsBounded(t *testing.T) {
	// A damaged frame, then nothing but beginnings of frames. The first block of
	// each leads to that of another, and the last ones to blocks of nothing.
	const hop = 6 + 9*14000
	start := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x24, 9, hop << 3 & 0xff, hop >> 5 & 0xff, hop >> 13 & 0xff}
	b := append(bytes.Clone(start[:6]), 7, 0xff, 0xff)
	for len(b) < 2<<20 {
		b = append(b, start...)
	}
	b = append(b, make([]byte, 2<<20)...)
	within(t, 60*time.Second, func() {
		if r := verify(t, b, VerifyOptions{Workers: 1}); r.Verdict != Unreadable && r.Verdict != Damaged && r.Verdict != Altered {
			t.Error(explain(r))
		}
	})
}

func TestItemsThatClaimTheSameBytesAreNotReadForEach(t *testing.T) {
	a := newAudit(context.Background(), &Report{}, newFrameWalk(bytes.NewReader(nil), 0, 1))
	a.gaps, a.at = true, 1<<30
	r := &record{off: 0, item: evidence.Item{Kind: evidence.KindFile, Size: 1 << 29, Stored: 1 << 29}}
	got := []lookResult{a.lookAgain(r), a.lookAgain(r), a.lookAgain(r), a.lookAgain(r)}
	if want := []lookResult{lookLost, lookLost, lookChanged, lookChanged}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestReportsStaySmall(t *testing.T) {
	r := &Report{}
	a := newAudit(context.Background(), r, newFrameWalk(bytes.NewReader(nil), 0, 1))
	long := strings.Repeat("x", 1<<20)
	for i := range 2000 {
		a.record(&record{off: 0, item: evidence.Item{Index: int64(i + 1), Kind: evidence.Kind(fmt.Sprintf("kind%d", i))}})
		a.broken(&record{item: evidence.Item{Path: long}}, ErrMismatch)
		w := &tarWalk{v: a}
		w.feed(appendHeader(nil, &entry{name: fmt.Sprintf("exhibit/%d%s", i, strings.Repeat("y", 6000)), mtime: testTime}))
	}
	if len(r.Kinds) > maxKinds+1 || len(a.hashes) > 0 || len(explain(r)) > 32<<20 {
		t.Errorf("%d kinds, %d hashes, %d bytes", len(r.Kinds), len(a.hashes), len(explain(r)))
	}
	if r.Kinds["other"] == 0 {
		t.Error("kinds beyond the limit are not counted")
	}
}

func TestSummingHolesCanBeCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	a := newAudit(ctx, &Report{}, newFrameWalk(bytes.NewReader(nil), 0, 1))
	a.sums = a.hash.newItem(true)
	within(t, time.Second, func() {
		for range 4000 {
			a.hole(1 << 30)
		}
	})
}

func TestFrameOfManySegmentsOrBlocksIsNone(t *testing.T) {
	file := attacker(t).v.file
	window := append(append(bytes.Clone(file[:4]), file[4]&^0x20, 0x60), file[5:]...)
	empty := append(bytes.Clone(file[:4]), 0x24, 5)
	for range maxBlocks {
		empty = append(empty, 0, 0, 0)
	}
	empty = append(empty, 1|5<<3, 0, 0, 'h', 'e', 'l', 'l', 'o', 0, 0, 0, 0)
	for name, b := range map[string][]byte{"window": window, "empty blocks": empty} {
		if _, _, err := measureFrame(sliceAt(b), 0, int64(len(b))); err == nil {
			t.Errorf("%s: taken for a frame of this format", name)
		}
	}
}
