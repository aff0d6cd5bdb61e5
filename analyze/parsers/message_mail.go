package parsers

// postfixMessages are those of Postfix: connections, refusals, logins,
// queueing and delivery.
//
// Format: Postfix, src/smtpd/smtpd.c, smtpd_check.c, smtpd_sasl_glue.c,
// global/log_adhoc.c, postscreen(8). Clients are NAME[ADDRESS].
var postfixMessages = messages(mailMessage, []string{"postfix"}, []lineRule{
	{pattern: "connect from {client:word}[{src_ip}]", action: "connection-opened", category: "network"},
	{pattern: "disconnect from {client:word}[{src_ip}]{_}", action: "connection-closed", category: "network"},
	{pattern: "warning: {client:word}[{src_ip}]{?:{src_port:int}}: SASL {method:word} authentication failed: {reason:last}, sasl_username={user}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "warning: {client:word}[{src_ip}]{?:{src_port:int}}: SASL {method:word} authentication failed:{reason}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "{queue_id:word}: client={client:word}[{src_ip}]{?:{src_port:int}}, sasl_method={method:word}, sasl_username={user}{?, {_}}", action: "user-login", category: "authentication", outcome: "success"},
	{pattern: "{queue_id:word}: client={client:word}[{src_ip}]{?:{src_port:int}}{_}", action: "mail-accepted", category: "email"},
	{pattern: "{queue_id:word}: {_:=reject|milter-reject|discard|hold}: {command:word} from {client:word}[{src_ip}]: {reason}; from=<{sender}> to=<{recipient}>{_}", action: "mail-rejected", category: "email", outcome: "failure"},
	{pattern: "{queue_id:word}: {_:=reject|milter-reject|discard|hold}: {command:word} from {client:word}[{src_ip}]: {reason}", action: "mail-rejected", category: "email", outcome: "failure"},
	{pattern: "{queue_id:word}: reject: {command:word} from [{src_ip}]:{src_port:int}: {reason}", action: "mail-rejected", category: "email", outcome: "failure"},
	{pattern: "{queue_id:word}: from=<{sender}>, size={size:int}, nrcpt={recipients:int} {_}", action: "mail-queued", category: "email"},
	{pattern: "{queue_id:word}: message-id=<{message_id}>", category: "email", action: "mail-identified"},
	{pattern: "{queue_id:word}: to=<{recipient}>, {_}, status={status:word} ({reason:last})", action: "mail-delivered", category: "email", outcome: "failure", once: []string{", status="}},
	{pattern: "{queue_id:word}: removed", action: "mail-removed", category: "email"},
	{pattern: "{?NOQUEUE: }lost connection after {command:word} from {client:word}[{src_ip}]{_}", action: "connection-closed", category: "network"},
	{pattern: "timeout after {command:word} from {client:word}[{src_ip}]{_}", action: "connection-closed", category: "network"},
	{pattern: "too many errors after {command:word} from {client:word}[{src_ip}]{_}", action: "connection-closed", category: "network"},
	{pattern: "improper command pipelining after {command:word} from {client:word}[{src_ip}]{_}", action: "protocol-violated", category: "network"},
	{pattern: "warning: {limit} rate limit exceeded: {count:int} from {client:word}[{src_ip}] for service {service}", action: "connection-limited", category: "network", outcome: "failure"},
	{pattern: "warning: hostname {client:word} does not resolve to address {src_ip}: {reason}", action: "name-not-resolved", category: "network"},
	{pattern: "warning: hostname {client:word} does not resolve to address {src_ip:addr}", action: "name-not-resolved", category: "network"},
	{pattern: "CONNECT from [{src_ip}]:{src_port:int} to [{dst_ip}]:{dst_port:int}", action: "connection-opened", category: "network"},
	{pattern: "{_:=PREGREET|HANGUP|COMMAND TIME LIMIT|COMMAND COUNT LIMIT|COMMAND LENGTH LIMIT|BARE NEWLINE|NON-SMTP COMMAND}{_}from [{src_ip}]:{src_port:int}{_}", action: "protocol-violated", category: "network"},
	{pattern: "{_:=PASS OLD|PASS NEW|DISCONNECT|ALLOWLISTED|WHITELISTED|DENYLISTED|BLACKLISTED} [{src_ip}]:{src_port:int}{_}"},
}, []lineRule{
	{pattern: "{_}, relay={relay:word}[{dst_ip}]:{dst_port:int}, {_}"},
}, []lineRule{
	{in: "status", pattern: "sent", outcome: "success"},
})

// dovecotMessages are the logins that Dovecot reports.
//
// Format: Dovecot, login_log_format_elements; src/login-common, src/auth.
var dovecotMessages = messages(mailMessage, []string{"dovecot"}, []lineRule{
	{pattern: "{service:word}: {?Info: }Login: user=<{user}>, method={method:word}, rip={src_ip:addr}{?, rport={src_port:int}}, lip={dst_ip:addr}{_}", action: "user-login", category: "authentication", outcome: "success", once: []string{", rip="}},
	{pattern: "{service:word}: {?Info: }{_:=Aborted login|Disconnected|Login aborted}{?:{_}}(auth failed{_}user=<{user}>, {_}rip={src_ip:addr}{_}", action: "user-login", category: "authentication", outcome: "failure", once: []string{", rip="}},
	{pattern: "{service:word}: {?Info: }{_:=Aborted login|Disconnected|Login aborted} (auth failed{_}user=<{user}>, {_}rip={src_ip:addr}{_}", action: "user-login", category: "authentication", outcome: "failure", once: []string{", rip="}},
	{pattern: "{service:word}: {?Info: }{_:=Aborted login|Disconnected|Login aborted}{_}rip={src_ip:addr}{_}", action: "connection-closed", category: "network", once: []string{", rip="}},
	{pattern: "auth{_}: {backend:word}({login},<{_}>): {_:=unknown user|Password mismatch|pam_authenticate() failed|invalid credentials}{_}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "auth{_}: {backend:word}({login}): {_:=unknown user|Password mismatch|pam_authenticate() failed|invalid credentials}{_}", action: "user-login", category: "authentication", outcome: "failure"},
}, []lineRule{
	{in: "login", pattern: "{user:last},{src_ip:addr}"}, // the address is what stands last, whatever the account is called
	{in: "login", pattern: "{user}"},
})

// sendmailMessages are those of Sendmail.
//
// Format: Sendmail Installation and Operation Guide, 2.1 "The System Log".
var sendmailMessages = messages(mailMessage, []string{"sendmail", "sm-mta", "sm-acceptingconnections", "sm-msp-queue"}, []lineRule{
	{pattern: "{queue_id:word}: ruleset={ruleset:word}, {_}relay={client}[{src_ip}]{_}, reject={reason}", action: "mail-rejected", category: "email", outcome: "failure", once: []string{"relay="}},
	{pattern: "ruleset={ruleset:word}, {_}relay={client}[{src_ip}]{_}, reject={reason}", action: "mail-rejected", category: "email", outcome: "failure", once: []string{"relay="}},
	{pattern: "{queue_id:word}: rejecting commands from {client}[{src_ip}] {reason}", action: "connection-dropped", category: "network", outcome: "failure"},
	{pattern: "{queue_id:word}: lost input channel from {client}[{src_ip}] to {_}", action: "connection-closed", category: "network"},
	{pattern: "{queue_id:word}: AUTH failure ({method:word}): {reason}, user={user:last}, relay={client}[{src_ip}]{_}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "{queue_id:word}: AUTH failure ({method:word}): {reason:last}, relay={client}[{src_ip}]{_}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "{queue_id:word}: {client}[{src_ip}]{_} did not issue MAIL/EXPN/VRFY/ETRN during {_}", action: "connection-closed", category: "network"},
	{pattern: "{queue_id:word}: {client}[{src_ip}]: {command:=EXPN|VRFY|expn|vrfy} {_}[rejected]", action: "command-rejected", category: "network", outcome: "failure"},
	{pattern: "{queue_id:word}: {client}[{src_ip}]{_}: possible SMTP attack: command={command:word}, count={count:int}", action: "attack-detected", category: "intrusion_detection"},
	{pattern: "{queue_id:word}: from={sender}, size={size:int}, {_}relay={client}[{src_ip}]{_}", action: "mail-accepted", category: "email", once: []string{"relay="}},
	{pattern: "{queue_id:word}: to={recipient}, {_}, stat=Sent{_}", action: "mail-delivered", category: "email", outcome: "success", once: []string{", stat="}},
	{pattern: "{queue_id:word}: to={recipient}, {_}, stat={reason}", action: "mail-delivered", category: "email", outcome: "failure", once: []string{", stat="}},
	{pattern: "AUTH={_:word}, relay={client}[{src_ip}]{_}, authid={user}, mech={method:word}, {_}", action: "user-login", category: "authentication", outcome: "success", once: []string{"relay="}},
})

// cyrusMessages are the logins that Cyrus and UW imapd report.
//
// Format: Cyrus IMAP, imap/imapd.c, imap/pop3d.c.
var cyrusMessages = messages(mailMessage, []string{"imap", "imaps", "pop3", "pop3s", "imapd", "imapds", "pop3d", "nntp", "sieve", "ipop3d"}, []lineRule{
	{pattern: "badlogin: {client}[{src_ip}] {method:word} {?[}{_:=SASL}{reason}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "badlogin: {client}[{src_ip}] {method:word} {user:word} {reason}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "login: {client}[{src_ip}] {user:word} {method:word}{_}", action: "user-login", category: "authentication", outcome: "success"},
	{pattern: "LOGIN FAILED, user={user:last}, ip=[{src_ip}]{_}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "LOGIN FAILED, method={method:word}, ip=[{src_ip}]{_}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "LOGIN, user={user:last}, ip=[{src_ip}]{_}", action: "user-login", category: "authentication", outcome: "success"},
	{pattern: "Login failed user={user} auth={_} host={client}[{src_ip}]{_}", action: "user-login", category: "authentication", outcome: "failure", once: []string{" host="}},
	{pattern: "Login {reason:=excessive login failures|disabled} user={user} auth={_} host={client}[{src_ip}]{_}", action: "user-login", category: "authentication", outcome: "failure", once: []string{" host="}},
	{pattern: "Failed {_:word} override of user={user} host={client}[{src_ip}]{_}", action: "user-login", category: "authentication", outcome: "failure", once: []string{" host="}},
	{pattern: "Login user={user} host={client}[{src_ip}]{_}", action: "user-login", category: "authentication", outcome: "success", once: []string{" host="}},
})

// courierMessages are the logins that Courier reports.
//
// Format: Courier IMAP, imap/imaplogin.c.
var courierMessages = messages(mailMessage, []string{"imapd-ssl", "pop3d-ssl", "courierpop3login", "imaplogin", "pop3login", "courieresmtpd"}, []lineRule{
	{pattern: "LOGIN FAILED, user={user:last}, ip=[{src_ip}]{_}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "LOGIN FAILED, method={method:word}, ip=[{src_ip}]{_}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "LOGIN, user={user:last}, ip=[{src_ip}]{_}", action: "user-login", category: "authentication", outcome: "success"},
})

// eximMessages are those of Exim in syslog; they are the lines of its own log.
var eximMessages = messages(mailMessage, []string{"exim", "exim4"}, eximRules, eximDetails)
