package local

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// PENDING holds the jobs that are committed but not yet in the manifest, in
// the order in which they ended: what a build that was killed leaves to the
// next one. A record is u32 length of the head, u32 length of the body, u32
// CRC-32 (IEEE) of both, the head as JSON and the body: the events of a small
// job as records and the problems as lines.

// pendingJob is the head of a record of PENDING.
type pendingJob struct {
	Order    int64      `json:"order"`
	Key      string     `json:"key"`
	Family   string     `json:"family"`
	Source   sourceLine `json:"source"`
	Segments []entry    `json:"segments,omitempty"`
	Records  int64      `json:"records"` // bytes of the events in the body
	Small    int64      `json:"small"`   // events in the body

	at   int64 // of the body in the file
	body int64
}

const (
	maxPendingHead = 16 << 20
	pendingSync    = time.Second
)

// pendingLog is the open PENDING file.
type pendingLog struct {
	mu     sync.Mutex
	file   *os.File
	end    int64
	synced time.Time
	jobs   []*pendingJob
	broken error
}

// openPending opens the log of dir, locks it, and cuts off a last record that
// was not written whole.
func openPending(dir string) (*pendingLog, error) {
	f, err := os.OpenFile(filepath.Join(dir, pendingName), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open pending jobs: %w", err)
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	p := &pendingLog{file: f, synced: time.Now()}
	if err := p.load(); err != nil {
		f.Close()
		return nil, fmt.Errorf("read pending jobs: %w", err)
	}
	return p, nil
}

func (p *pendingLog) load() error {
	size, err := p.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	for {
		job, end, err := p.read(p.end, size)
		if err != nil {
			return err
		}
		if job == nil {
			return p.file.Truncate(p.end)
		}
		p.jobs = append(p.jobs, job)
		p.end = end
	}
}

// read returns the record at offset at, or nil where none is whole.
func (p *pendingLog) read(at, size int64) (*pendingJob, int64, error) {
	var fixed [12]byte
	if size-at < int64(len(fixed)) {
		return nil, 0, nil
	}
	if _, err := p.file.ReadAt(fixed[:], at); err != nil {
		return nil, 0, err
	}
	head, body := int64(binary.LittleEndian.Uint32(fixed[:])), int64(binary.LittleEndian.Uint32(fixed[4:]))
	at += int64(len(fixed))
	if head > maxPendingHead || size-at < head+body {
		return nil, 0, nil
	}
	text := make([]byte, head)
	if _, err := p.file.ReadAt(text, at); err != nil {
		return nil, 0, err
	}
	sum := crc32.NewIEEE()
	sum.Write(text)
	if _, err := io.Copy(sum, io.NewSectionReader(p.file, at+head, body)); err != nil {
		return nil, 0, err
	}
	job := &pendingJob{at: at + head, body: body}
	if sum.Sum32() != binary.LittleEndian.Uint32(fixed[8:]) || json.Unmarshal(text, job) != nil ||
		job.Records < 0 || job.Records > body {
		return nil, 0, nil
	}
	return job, at + head + body, nil
}

// append adds a job. Records reach the disk at the latest a second after.
func (p *pendingLog) append(job *pendingJob, body []byte) error {
	head, err := json.Marshal(job)
	if err != nil {
		return fmt.Errorf("encode pending job: %w", err)
	}
	if len(head) > maxPendingHead || int64(len(body)) > 1<<31 {
		return errors.New("pending job is too large")
	}
	record := binary.LittleEndian.AppendUint32(nil, uint32(len(head)))
	record = binary.LittleEndian.AppendUint32(record, uint32(len(body)))
	record = binary.LittleEndian.AppendUint32(record, crc32.Update(crc32.ChecksumIEEE(head), crc32.IEEETable, body))
	record = append(append(record, head...), body...)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		return p.broken
	}
	if _, err := p.file.WriteAt(record, p.end); err != nil {
		// The record may be there in part: later ones go to the same place.
		return fmt.Errorf("write pending job: %w", err)
	}
	job.at, job.body = p.end+int64(len(record)-len(body)), int64(len(body))
	p.end += int64(len(record))
	p.jobs = append(p.jobs, job)
	if len(job.Segments) > 0 || time.Since(p.synced) > pendingSync {
		p.synced = time.Now()
		if err := p.file.Sync(); err != nil {
			p.broken = fmt.Errorf("write pending jobs: %w", err)
			return p.broken
		}
	}
	return nil
}

// records returns the events of a small job.
func (p *pendingLog) records(job *pendingJob) ([]byte, error) {
	return p.part(job.at, job.Records)
}

// problems returns the problem lines of a job.
func (p *pendingLog) problems(job *pendingJob) ([]byte, error) {
	return p.part(job.at+job.Records, job.body-job.Records)
}

func (p *pendingLog) part(at, n int64) ([]byte, error) {
	b := make([]byte, n)
	if _, err := p.file.ReadAt(b, at); err != nil {
		return nil, fmt.Errorf("read pending job: %w", err)
	}
	return b, nil
}
