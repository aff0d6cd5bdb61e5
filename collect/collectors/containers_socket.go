package collectors

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// linuxContainerSockets asks the engines that listen. Only GET is sent, and
// nothing that makes an engine do more than answer: of the changes of a
// container that is not running, for one, Docker mounts its layers to tell.
// Where no engine is running nobody is asked: the first connection may have
// systemd start it.
var linuxContainerSockets = register(collect.Collector{
	Name:     "linux_container_sockets",
	Doc:      "What Docker and Podman answer of their containers, images, networks and volumes, asked through their sockets",
	Tier:     collect.TierSessions,
	Live:     true,
	Deadline: 5 * time.Minute,
	Run: func(ctx context.Context, h *collect.Host, out collect.Taker) error {
		return askEngines(ctx, h, out, findEngines(ctx, h, nil).sockets)
	},
})

// Bounds of what an engine is asked. A hung one costs socketPatience.
const (
	socketPatience = 10 * time.Second // for one answer
	enginePatience = time.Minute      // for all of one engine
	maxAnswer      = 32 << 20
	maxAnswerHead  = 64 << 10
	maxAsked       = 500 // containers asked one by one
)

func askEngines(ctx context.Context, h *collect.Host, out collect.Taker, sockets []engineSocket) error {
	var lines []record.ContainerSocket
	for _, s := range sockets {
		if ctx.Err() != nil {
			break
		}
		line := record.ContainerSocket{Path: record.Bytes(s.path), API: s.api}
		st, err := h.Stat(s.path)
		line.Present = err == nil && st.Mode&modeType == modeSocket
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			line.Errors = append(line.Errors, withoutPath(err))
		case !line.Present:
		case s.api != "docker":
			line.NotAsked = "gRPC is not spoken: what it would tell is read from the engine's files"
		case !s.served:
			line.NotAsked = "no engine is running that would serve it, and to connect may start one"
		default:
			q := engineQuestions{ctx: ctx, out: out, socket: strings.TrimSuffix(h.Root, "/") + s.path, name: s.path, line: &line}
			if err := q.all(); err != nil {
				return err
			}
		}
		lines = append(lines, line)
	}
	set := collect.NewRecords(ctx, out, evidence.Item{Path: record.ContainerSockets, Source: "socket", Rule: "sockets of engines"})
	var err error
	for _, line := range lines {
		for _, why := range line.Errors {
			out.Problem(problemAt(evidence.IOError, string(line.Path), why))
		}
		if err = set.Write(line); err != nil {
			break
		}
	}
	out.Seen("sockets of engines", len(lines))
	return errors.Join(err, set.Close())
}

// modeSocket is S_IFSOCK.
const modeSocket = 0o140000

// engineQuestions asks one engine, by the Docker Engine API (docs.docker.com,
// which Podman speaks too), without a version in the path: then the engine
// answers in its own.
type engineQuestions struct {
	ctx    context.Context
	out    collect.Taker
	socket string // where it is
	name   string // what the host calls it
	line   *record.ContainerSocket
}

func (q *engineQuestions) all() error {
	var cancel context.CancelFunc
	q.ctx, cancel = context.WithTimeout(q.ctx, enginePatience)
	defer cancel()
	text, err := q.one("/version", "version.json")
	if err != nil || text == nil {
		return err
	}
	var version struct{ Version string }
	_ = json.Unmarshal(text, &version) // the answer is kept as it is
	q.line.Version = version.Version
	for _, ask := range [][2]string{{"/info", "info.json"}, {"/images/json?all=1", "images.json"}, {"/networks", "networks.json"}, {"/volumes", "volumes.json"}} {
		if _, err := q.one(ask[0], ask[1]); err != nil {
			return err
		}
	}
	text, err = q.one("/containers/json?all=1", "containers.json")
	if err != nil || text == nil {
		return err
	}
	var list []struct{ Id, State string } //nolint:revive // the JSON keys
	if err := json.Unmarshal(text, &list); err != nil {
		q.line.Errors = append(q.line.Errors, "containers.json: "+err.Error())
		return nil
	}
	for i, c := range list {
		switch {
		case i >= maxAsked:
			q.line.Errors = append(q.line.Errors, fmt.Sprintf("%d containers were not asked one by one: %d are the most", len(list)-i, maxAsked))
			return nil
		case q.ctx.Err() != nil:
			q.line.Errors = append(q.line.Errors, fmt.Sprintf("%d containers were not asked one by one: no time was left", len(list)-i))
			return nil
		case !plainName(c.Id):
			q.line.Errors = append(q.line.Errors, fmt.Sprintf("a container of the name %q", c.Id))
			continue
		}
		id := url.PathEscape(c.Id)
		if _, err := q.one("/containers/"+id+"/json", "containers/"+id+".json"); err != nil {
			return err
		}
		if c.State == "running" {
			if _, err := q.one("/containers/"+id+"/changes", "containers/"+id+"-changes.json"); err != nil {
				return err
			}
		}
	}
	return nil
}

// one asks one thing and takes the answer. text is nil when there was none. An
// error means that the run ends.
func (q *engineQuestions) one(path, name string) (text []byte, err error) {
	q.line.Asked++
	text, err = getFromSocket(q.ctx, q.socket, path)
	if err != nil {
		q.line.Errors = append(q.line.Errors, "GET "+path+": "+err.Error())
		return nil, nil
	}
	name = "containers/api" + q.name + "/" + name
	q.line.Items = append(q.line.Items, name)
	it := evidence.Item{Kind: evidence.KindStream, Path: name, Source: "socket", Rule: "answers of engines", Size: int64(len(text))}
	return text, q.out.Stream(q.ctx, it, bytes.NewReader(text))
}

// getFromSocket sends a GET of HTTP/1.0 (RFC 1945) to a Unix socket and returns
// the body of the answer 200, which has to be JSON: without it nothing tells an
// answer that was cut from a whole one. net/http is no part of the collector.
func getFromSocket(ctx context.Context, socket, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, socketPatience)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // a socket takes one
	defer stop()
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\nUser-Agent: exhibit\r\n\r\n"); err != nil {
		return nil, err
	}
	body, err := readAnswer(conn)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("no answer within %v", socketPatience)
	}
	return body, err
}

// readAnswer reads an answer of HTTP/1.0 to its end.
func readAnswer(from io.Reader) ([]byte, error) {
	r := bufio.NewReader(from)
	head := &io.LimitedReader{R: r, N: maxAnswerHead}
	line := func() (string, error) {
		var b []byte
		for {
			var c [1]byte
			if _, err := io.ReadFull(head, c[:]); err != nil {
				return "", errors.New("the answer has no whole head")
			}
			if c[0] == '\n' {
				return strings.TrimSuffix(string(b), "\r"), nil
			}
			b = append(b, c[0])
		}
	}
	status, err := line()
	if err != nil {
		return nil, err
	}
	if f := strings.Fields(status); len(f) < 2 || !strings.HasPrefix(f[0], "HTTP/1.") {
		return nil, errors.New("the answer is not HTTP")
	} else if f[1] != "200" {
		return nil, fmt.Errorf("answered with status %q", f[1])
	}
	length := int64(-1)
	for {
		field, err := line()
		if err != nil {
			return nil, err
		}
		if field == "" {
			break
		}
		name, value, _ := strings.Cut(field, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "content-length":
			if length, err = strconv.ParseInt(value, 10, 64); err != nil || length < 0 {
				return nil, fmt.Errorf("states a length of %q", value)
			}
		case "transfer-encoding":
			return nil, fmt.Errorf("answered in pieces (%q), which HTTP/1.0 has not", value)
		}
	}
	if length > maxAnswer {
		return nil, fmt.Errorf("%d bytes are over the limit of %d", length, maxAnswer)
	}
	body, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("more than %d bytes", maxAnswer)
	case length >= 0 && int64(len(body)) != length:
		return nil, fmt.Errorf("%d bytes of %d arrived", len(body), length)
	case !json.Valid(body):
		return nil, errors.New("the answer is not whole JSON")
	}
	return body, nil
}
