package rootcause

// Class is how sure an edge is.
type Class string

// The classes of edges. A path is as good as its weakest edge, and an edge of
// class C never outweighs one of the others into the same node.
const (
	Stated   Class = "A" // one record says so
	Joined   Class = "B" // records share an exact key
	Inferred Class = "C" // time or names suggest it
)

// Kind is what a node of the graph is.
type Kind string

// The kinds of nodes.
const (
	KindProcess  Kind = "process"
	KindSession  Kind = "session"
	KindFile     Kind = "file"
	KindUnit     Kind = "unit"
	KindJob      Kind = "job"
	KindFlow     Kind = "flow"
	KindRequest  Kind = "request"
	KindPackage  Kind = "package"
	KindEvent    Kind = "event"
	KindAttempts Kind = "attempts"
	KindAddress  Kind = "address"
)

// Rule is one row of the table of what may cause what. From is the cause, To
// the effect.
type Rule struct {
	Name  string `json:"name"`
	Class Class  `json:"class"`
	From  Kind   `json:"from"`
	To    Kind   `json:"to"`
	Why   string `json:"why"` // why the records connect the two
	timed bool   // nearer in time is likelier
}

type ruleID int

const (
	execSelf ruleID = iota
	execParent
	execDaemon
	sudoCommand
	sessionMember
	sessionUser
	unitMain
	unitTime
	jobRun
	exeFile
	scriptFile
	requestCommand
	requestTime
	inboundTime
	packageRun
	packageCommand
	fileWrite
	fileAttr
	fileRename
	fileNamed
	fileBase
	fileSession
	fileRequest
	filePackage
	jobTable
	jobTime
	jobCommand
	unitFile
	unitCommand
	unitSession
	loginKey
	loginKeyTime
	loginAccount
	loginRemote
	loginContacted
	flowConnect
	flowSocket
	flowNamed
	requestFile
	eventProcess
	eventSession
	eventUser
	loginGuessed
	loginAgain
	loginFrom
	requestFrom
	filePassed
	lastRule
)

// table is the rule table; its order is that of the constants above.
var table = [lastRule]Rule{
	execSelf:       {"exec.self", Stated, KindProcess, KindProcess, "the same process executed another program", false},
	execParent:     {"exec.parent", Stated, KindProcess, KindProcess, "the record of the start names this parent process", false},
	execDaemon:     {"exec.daemon", Stated, KindProcess, KindProcess, "the record of the start names this service as parent, but nothing tells on whose behalf it acted", false},
	sudoCommand:    {"sudo.command", Joined, KindProcess, KindProcess, "sudo's record states exactly this command, in the same session", false},
	sessionMember:  {"session.member", Joined, KindSession, KindProcess, "the process carries the number of this session, or descends from its login daemon", false},
	sessionUser:    {"session.user", Inferred, KindSession, KindProcess, "the account had this session open at the time", true},
	unitMain:       {"unit.main", Joined, KindUnit, KindProcess, "the process belongs to this service by name, or runs the command its unit file states", false},
	unitTime:       {"unit.time", Inferred, KindUnit, KindProcess, "the service was started at the same moment, and no session claims the process", true},
	jobRun:         {"job.run", Joined, KindJob, KindProcess, "cron logged the run of exactly this command at the time", false},
	exeFile:        {"exe.file", Joined, KindFile, KindProcess, "the process runs this file, which was changed before", true},
	scriptFile:     {"script.file", Joined, KindFile, KindProcess, "the command line names this script, which was changed before", true},
	requestCommand: {"request.command", Joined, KindRequest, KindProcess, "the request contains the command that the server then ran", true},
	requestTime:    {"request.time", Inferred, KindRequest, KindProcess, "the web server ran this while it served the request", true},
	inboundTime:    {"inbound.time", Inferred, KindEvent, KindProcess, "the service ran this while the connection was open", true},
	packageRun:     {"package.run", Joined, KindPackage, KindProcess, "the process is the package manager of this installation, or was started by it", false},
	packageCommand: {"package.command", Joined, KindProcess, KindPackage, "the package log states the command line of this process", false},
	fileWrite:      {"file.write", Stated, KindProcess, KindFile, "the record shows this process writing the file", true},
	fileAttr:       {"file.attributes", Stated, KindProcess, KindFile, "the record shows this process changing the file's attributes", true},
	fileRename:     {"file.rename", Stated, KindFile, KindFile, "the record shows the file taking this name", true},
	fileNamed:      {"file.named", Inferred, KindProcess, KindFile, "the command line names the file, shortly before it is known to exist", true},
	fileBase:       {"file.name", Inferred, KindProcess, KindFile, "the command line contains a file of the same name", true},
	fileSession:    {"file.session", Inferred, KindSession, KindFile, "the file changed while this session, which may write there, was open", true},
	fileRequest:    {"file.request", Inferred, KindRequest, KindFile, "the web server wrote the file while it served the request", true},
	filePackage:    {"file.package", Inferred, KindPackage, KindFile, "the file changed while this installation ran", true},
	jobTable:       {"job.table", Joined, KindFile, KindJob, "this cron table contains the command", false},
	jobTime:        {"job.time", Inferred, KindFile, KindJob, "this cron table was changed before the first run of the command", true},
	jobCommand:     {"job.command", Inferred, KindProcess, KindJob, "crontab was used for the account before the first run", true},
	unitFile:       {"unit.file", Joined, KindFile, KindUnit, "this file defines the unit of that name", false},
	unitCommand:    {"unit.command", Joined, KindProcess, KindUnit, "the command names the unit just before it was started", true},
	unitSession:    {"unit.session", Inferred, KindSession, KindUnit, "the service was started while this session with root's rights was open, or soon after", true},
	loginKey:       {"login.key", Joined, KindFile, KindSession, "the key of the login is in this list", false},
	loginKeyTime:   {"login.key-time", Inferred, KindFile, KindSession, "the account's key list was changed before the first login with this key", true},
	loginAccount:   {"login.account", Joined, KindEvent, KindSession, "the account was made, or its password set, before the login", true},
	loginRemote:    {"login.client", Inferred, KindProcess, KindSession, "an ssh client ran on another host of the case at the moment of the login", true},
	loginContacted: {"login.contacted", Inferred, KindFlow, KindSession, "programs of this host had contacted the address before the login came from it", true},
	flowConnect:    {"flow.connect", Stated, KindProcess, KindFlow, "the record shows this process connecting", true},
	flowSocket:     {"flow.socket", Stated, KindProcess, KindFlow, "the socket belonged to this process when the evidence was collected", true},
	flowNamed:      {"flow.named", Inferred, KindProcess, KindFlow, "the command line names the address", true},
	requestFile:    {"request.file", Joined, KindFile, KindRequest, "the request asks for this file, which was changed before", true},
	eventProcess:   {"event.process", Stated, KindProcess, KindEvent, "the record names this process", false},
	eventSession:   {"event.session", Joined, KindSession, KindEvent, "the record carries the session's number, or its account and terminal", false},
	eventUser:      {"event.user", Inferred, KindSession, KindEvent, "the account had this session open at the time", true},
	loginGuessed:   {"login.guessed", Joined, KindAttempts, KindSession, "the failed logins came from the same address until one succeeded", false},
	loginAgain:     {"login.again", Joined, KindAttempts, KindSession, "the same account logged in from the same address again, after the guessing", false},
	loginFrom:      {"login.from", Stated, KindAddress, KindSession, "the record of the login names the address", false},
	requestFrom:    {"request.from", Stated, KindAddress, KindRequest, "the record of the request names the address", false},
	filePassed:     {"file.passed", Inferred, KindProcess, KindProcess, "both command lines name a file of this name, the one before the other", true},
}

// Rules returns the rule table, for documentation and explanation.
func Rules() []Rule { return append([]Rule(nil), table[:]...) }

func (r ruleID) class() Class { return table[r].Class }
