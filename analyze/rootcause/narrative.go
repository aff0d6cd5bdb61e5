package rootcause

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// The headings of the narrative, in the order in which an intrusion is told;
// sentences below them are in time order.
const (
	stageAccess  = "Initial access"
	stageMaybe   = "Possible way in"
	stageExecute = "Execution"
	stageRoot    = "Privileges gained"
	stagePersist = "Persistence"
	stageEvade   = "Traces removed"
	stageNetwork = "Network"
	stageAlert   = "What was asked about"
)

// told is a sentence template: %F and %T are cause and effect, %C the command
// line of the effect, %D the detail of the effect, %d that of the cause.
var told = [lastRule]string{
	execSelf:       "%F became %T by running %C.",
	execParent:     "%F ran %C as %T.",
	execDaemon:     "The service %F ran %C as %T; nothing tells on whose behalf.",
	sudoCommand:    "%F ran %C as %T through sudo.",
	sessionMember:  "%T ran in the %F: %C.",
	sessionUser:    "%T ran %C, probably in the %F: it was open then.",
	unitMain:       "The service %F ran %C as %T.",
	unitTime:       "%T ran %C, probably for the service %F, which was started at that moment.",
	jobRun:         "The %F ran as %T: %C.",
	exeFile:        "%T ran the file %F, which had been changed before.",
	scriptFile:     "%T ran the script %F, which had been changed before.",
	requestCommand: "The %F (%d) carried the command that %T ran: %C.",
	requestTime:    "The web server ran %C as %T, probably for the %F (%d), which it was serving.",
	inboundTime:    "%T ran %C while the connection to %F was open.",
	packageRun:     "The %F %d ran %T.",
	packageCommand: "%F ran the %T.",
	fileWrite:      "%F wrote %T%K.",
	fileAttr:       "%F changed the attributes of %T%K.",
	fileRename:     "%F was renamed to %T.",
	fileNamed:      "%F named %T%K on its command line %c, and so probably wrote it.",
	fileBase:       "%F handled a file of the same name as %T%K: %c.",
	fileSession:    "%T%K changed while the %F was open, which could write there.",
	fileRequest:    "%T%K was written while the web server served the %F (%d).",
	filePackage:    "%T%K changed while the %F (%d) ran, and probably came with it.",
	jobTable:       "The table %F makes cron run %D: the %T.",
	jobTime:        "The table %F had changed before the %T first ran %D, and probably contains it.",
	jobCommand:     "%F used crontab before the %T first ran %D.",
	unitFile:       "The service %T, defined by %F, was started.",
	unitCommand:    "%F started the service %T: %c.",
	unitSession:    "The service %T was started during or soon after the %F, which had root's rights.",
	loginKey:       "The %T used a key from %F, which had been changed before.",
	loginKeyTime:   "The %T used a key for the first time after %F had been changed.",
	loginAccount:   "The %T used an account that had been made or changed before (%F).",
	loginRemote:    "The %T probably came from %F on another host: %c.",
	loginContacted: "The %T came from an address that programs of this host had contacted before (%F).",
	flowConnect:    "%F connected to %T.",
	flowSocket:     "%F held a connection to %T when the evidence was collected.",
	flowNamed:      "%F named the address of %T: %c.",
	requestFile:    "The %T (%D) asked for %F, which had been changed before.",
	eventProcess:   "%F: %T.",
	eventSession:   "In the %F: %T %D.",
	eventUser:      "Probably in the %F, which was open then: %T %D.",
	loginGuessed:   "After %F %d, the %T succeeded, %D.",
	loginAgain:     "The %T followed from the same address, %D.",
	loginFrom:      "%F: %T %D.",
	requestFrom:    "%F: %T.",
	filePassed:     "%F handled a file that %T then used: %C.",
}

// narrate turns the edges of the graph into sentences.
func (s *shower) narrate(top *arrival) {
	for i := range s.g.Edges {
		e := &s.g.Edges[i]
		if s.rules[i] == loginFrom || s.rules[i] == requestFrom {
			continue // said with the entry
		}
		s.g.Narrative = append(s.g.Narrative, Sentence{
			Stage: s.stage(i), Text: s.sentence(i), Class: e.Class, Time: e.Time, Events: e.Events,
		})
	}
	if top != nil {
		s.narrateEntry(top)
	}
	s.narrateProbing(top)
	s.g.Narrative = append(s.g.Narrative, Sentence{
		Stage: stageAlert, Text: s.g.Alert.Text, Class: Stated, Time: s.g.Alert.Time, Events: s.g.Alert.Events,
	})
	order := []string{stageAccess, stageMaybe, stageExecute, stageRoot, stagePersist, stageNetwork, stageEvade, stageAlert}
	slices.SortStableFunc(s.g.Narrative, func(a, b Sentence) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Stage), slices.Index(order, b.Stage)), a.Time.Compare(b.Time), cmp.Compare(a.Text, b.Text))
	})
}

// narrateEntry says how the entry was made, where no edge does.
func (s *shower) narrateEntry(top *arrival) {
	x := s.x
	r := s.w.nodes[top.nodes[0]].ref
	var text string
	var proof []int32
	switch r.kind {
	case KindSession:
		e := &x.sessions[top.session]
		if top.guessed {
			return // the edge from the failed logins says it
		}
		text = "The " + x.sessionLabel(top.session)
		if d := x.sessionDetail(top.session); d != "" {
			text += " (" + d + ")"
		}
		text += " is where the walk ends."
		proof = e.facts
	case KindRequest:
		v := &x.visits[r.n]
		text = fmt.Sprintf("%s sent %s for %s.", x.text[v.client], plural(v.all, "request"), x.text[v.path])
		proof = v.facts
	case KindPackage:
		l, d := x.label(r)
		text = "The " + l + " " + quoted(d, 120) + " brought it in."
		proof = x.proofOf(r)
	default:
		l, d := x.label(r)
		text = l + ": " + d + "."
		proof = x.proofOf(r)
	}
	stage := stageAccess
	if s.weak(top) {
		stage = stageMaybe
	}
	s.g.Narrative = append(s.g.Narrative, Sentence{Stage: stage, Text: plainText(text), Class: Stated, Time: utc(top.first), Events: s.ids(proof, maxCited)})
}

// narrateProbing tells of captured connections from the address of the entry
// before it: somebody who tries many ports is looking for a way in.
func (s *shower) narrateProbing(top *arrival) {
	if top == nil || top.session < 0 || s.x.sessions[top.session].src == 0 {
		return
	}
	x := s.x
	e := &x.sessions[top.session]
	ports := make(map[int32]bool)
	var proof []int32
	total := 0
	for i := range x.facts {
		f := &x.facts[i]
		if f.act != actFlow || f.from != fromCapture || f.sip != e.src || f.ts == timeline.None || f.ts > e.start || e.start-f.ts > guessWindow {
			continue
		}
		total++
		ports[f.dport] = true
		proof = append(proof, int32(i))
	}
	if len(ports) < probeMin {
		return
	}
	s.g.Narrative = append(s.g.Narrative, Sentence{
		Stage: stageAccess, Class: Joined, Time: utc(x.facts[proof[0]].ts), Events: s.ids(ends(proof, 4), maxCited),
		Text: fmt.Sprintf("From %s the same address, %s, tried %s in %s: it looked for services.", clock(x.facts[proof[0]].ts), x.text[e.src], plural(len(ports), "port"), plural(total, "connection")),
	})
}

// probeMin is how many ports make a search for services.
const probeMin = 4

// sentence fills the template of an edge's rule.
func (s *shower) sentence(i int) string {
	e := &s.g.Edges[i]
	f, t := &s.g.Nodes[e.From], &s.g.Nodes[e.To]
	kind := ""
	if t.Kind == KindFile && t.Detail != "" {
		kind = " (" + t.Detail + ")"
	}
	cmd := quoted(t.Detail, 160)
	if t.Detail == "" {
		cmd = "a program"
	}
	text := strings.NewReplacer(
		"%F", shorten(f.Label, 160), "%T", shorten(t.Label, 160), "%C", cmd, "%c", quoted(f.Detail, 160),
		"%K", kind, "%D", shorten(t.Detail, 160), "%d", shorten(f.Detail, 160),
	).Replace(told[s.rules[i]])
	if s.seenRoot(i) {
		text = strings.TrimSuffix(text, ".") + ", now as root."
	}
	return upperFirst(text)
}

// seenRoot reports whether an edge is where a process became root.
func (s *shower) seenRoot(i int) bool {
	e := &s.g.Edges[i]
	if s.rules[i] != execParent && s.rules[i] != execSelf {
		return false
	}
	f, t := s.refs[e.From], s.refs[e.To]
	return f.kind == KindProcess && t.kind == KindProcess && s.x.procs[t.n].uid == 0 && s.x.procs[f.n].uid > 0
}

func upperFirst(s string) string {
	if s != "" && s[0] >= 'a' && s[0] <= 'z' && (strings.HasPrefix(s, "login ") || strings.HasPrefix(s, "web ") || strings.HasPrefix(s, "cron ") || strings.HasPrefix(s, "the ") || strings.HasPrefix(s, "session ")) {
		return string(s[0]-32) + s[1:]
	}
	return s
}

// stage files an edge under a heading.
func (s *shower) stage(i int) string {
	e := &s.g.Edges[i]
	t := s.refs[e.To]
	switch s.rules[i] {
	case loginGuessed, loginAgain, requestCommand, requestTime, requestFile, inboundTime, packageCommand:
		return stageAccess
	case loginKey, loginKeyTime, loginAccount, jobTable, jobTime, jobCommand, unitFile, unitCommand:
		return stagePersist
	case loginRemote, loginContacted:
		return stageAccess
	case flowConnect, flowSocket, flowNamed:
		return stageNetwork
	}
	switch {
	case s.seenRoot(i), t.kind == KindEvent && s.x.facts[t.n].act == actSudo:
		return stageRoot
	case t.kind == KindFile && persistent(s.x.text[s.x.files[t.n].path]) != "":
		return stagePersist
	case t.kind == KindFile && isLog(s.x.text[s.x.files[t.n].path]):
		return stageEvade
	case t.kind == KindProcess:
		switch baseOf(s.x.text[s.x.procs[t.n].exe]) {
		case "touch", "shred":
			return stageEvade
		}
	}
	return stageExecute
}

// explain writes what an entry is and why it is ranked where it is.
func (s *shower) explain(g *arrival) Entry {
	x := s.x
	r := s.w.nodes[g.nodes[0]].ref
	label, detail := x.label(r)
	en := Entry{Node: -1, Score: score(g.score), Time: utc(g.first), Host: x.text[x.hostOf(r)], Confidence: s.confidence(g)}
	if k, ok := s.at[r]; ok {
		en.Node = k
	}
	proof := x.proofOf(r)
	var why []string
	switch r.kind {
	case KindSession:
		e := &x.sessions[g.session]
		if k, ok := s.at[ref{KindSession, g.session}]; ok {
			en.Node = k
		}
		en.Account, en.Address = x.text[e.user], x.text[e.src]
		en.Kind, proof = s.loginKind(g), e.facts
		en.Title = strings.ToUpper(en.Kind[:1]) + en.Kind[1:] + ": " + x.sessionLabel(g.session)
		if e.method != 0 {
			en.Title += " by " + x.text[e.method]
		}
		if g.guessed {
			proof = append(ends(g.guess.facts, 3), first(e.facts, 4)...)
			why = append(why, fmt.Sprintf("%s from %s for %s failed from %s to %s UTC, then this login from the same address succeeded at %s UTC",
				plural(g.guess.count, "login"), x.text[e.src], plural(g.guess.accounts, "account"), clock(g.guess.first), hour(g.guess.last), hour(e.start)))
		}
		if len(g.nodes) > 1 || s.w.nodes[g.nodes[0]].ref.n != g.session {
			why = append(why, "the account logged in from there again, and what was asked about came of a later session of the same kind")
		}
		why = append(why, s.addressReason(e.src)...)
		if !e.login {
			why = append(why, "no record of the login itself was found: only the session's number is known")
		}
	case KindRequest:
		en.Kind, en.Address = "web request", x.text[x.visits[r.n].client]
		en.Title = "Web request from " + en.Address + " for " + x.text[x.visits[r.n].path]
		if x.visitsChangedFile(r.n, s.w.nodes[g.nodes[0]].until) {
			why = append(why, "the request asks for a file that was put there during the case")
		}
		if v := &x.visits[r.n]; v.served > 0 {
			why = append(why, fmt.Sprintf("%d of %s for it were followed by programs that the web server started", v.served, plural(v.all, "request")))
		}
		why = append(why, s.addressReason(x.visits[r.n].client)...)
	case KindPackage:
		en.Kind, en.Title = "package installation", upperFirst(label)+" "+quoted(detail, 120)
		en.Account = s.installer(r)
		why = append(why, "the package manager, or what it installed, ran it")
	default:
		en.Kind, en.Title, en.Address = "inbound connection", upperFirst(label), x.text[x.facts[r.n].sip]
		why = append(why, "the service it reached ran a program while it was open")
	}
	why = append(why, fmt.Sprintf("its paths account for %.0f %% of the alert", 100*score(min(one, g.impact))))
	en.Title, en.Reason = plainText(en.Title), plainText(strings.Join(why, "; ")+".")
	en.Reason = strings.ToUpper(en.Reason[:1]) + en.Reason[1:]
	en.Events = s.ids(proof, maxCited)
	return en
}

func (s *shower) loginKind(g *arrival) string {
	e := &s.x.sessions[g.session]
	switch {
	case g.guessed:
		return "password guessing"
	case e.src == 0 && e.kind == sessionConsole:
		return "console login"
	case e.src == 0:
		return "session of unknown origin"
	}
	return "remote login"
}

func (s *shower) addressReason(ip sym) []string {
	if ip == 0 {
		return nil
	}
	if s.x.opt.internal(s.x.text[ip]) {
		return []string{"the address is an internal one: if it is another machine of the organisation, the way in may lie there"}
	}
	return []string{"the address is an external one"}
}

func (s *shower) installer(r ref) string {
	if r.n < 0 {
		return s.x.text[s.x.facts[-r.n-1].user]
	}
	p := &s.x.procs[r.n]
	if p.sess >= 0 {
		return s.x.text[s.x.sessions[p.sess].user]
	}
	return s.x.text[p.user]
}

// confidence is that of the weakest edge of the best path to the entry, and
// low where the entry explains less than what nothing explains.
func (s *shower) confidence(g *arrival) string {
	if s.weak(g) {
		return "low"
	}
	inferred := 0
	for _, p := range s.w.strongest(g.nodes) {
		if s.w.nodes[p[0]].in[p[1]].rule.class() == Inferred {
			inferred++
		}
	}
	switch {
	case inferred == 0:
		return "high"
	case inferred == 1:
		return "medium"
	}
	return "low"
}
