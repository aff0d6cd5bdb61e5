package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
)

// bulkServer is a program of the scripts: it speaks of OpenSearch's bulk
// interface what a push needs, on the port that it writes into the file named,
// refuses documents whose message holds "refuse me", and answers nonsense for
// the index "odd".
func bulkServer() {
	seen := map[string]bool{}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "alice" || password != "right" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if !strings.HasSuffix(r.URL.Path, "/_bulk") {
			fmt.Fprint(w, `{"version":{"number":"2.11.1","distribution":"opensearch"}}`)
			return
		}
		if r.URL.Path == "/odd/_bulk" {
			fmt.Fprint(w, "an answer of somebody else")
			return
		}
		var items []string
		lines := bufio.NewScanner(r.Body)
		lines.Buffer(nil, 8<<20)
		for lines.Scan() {
			id := lines.Text()
			lines.Scan()
			switch {
			case seen[id]:
				items = append(items, `{"create":{"status":409}}`)
			case strings.Contains(lines.Text(), "refuse me"):
				items = append(items, `{"create":{"status":400,"error":{"type":"t","reason":"no \u001b[2J"}}}`)
			default:
				items = append(items, `{"create":{"status":201}}`)
				seen[id] = true
			}
		}
		fmt.Fprintf(w, `{"items":[%s]}`, strings.Join(items, ","))
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		err = os.WriteFile(os.Args[1]+".new", []byte("http://"+l.Addr().String()), 0o600)
	}
	if err == nil {
		err = os.Rename(os.Args[1]+".new", os.Args[1])
	}
	if err == nil {
		err = http.Serve(l, nil)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
