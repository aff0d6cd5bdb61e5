package gathering

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
)

// AttendPrefix begins the line in which an attended collector asks for a
// signature: its key follows, as a line of authorized_keys.
const AttendPrefix = "exhibit-attend: "

// maxMandate bounds the answer to a request for a signature.
const maxMandate = 256 << 10

// answer is the line that an attending examiner sends back.
type answer struct {
	Grade       bundle.Grade `json:"grade"`
	Statement   []byte       `json:"statement,omitempty"`
	Certificate []byte       `json:"certificate,omitempty"`
	Order       []byte       `json:"order,omitempty"`
	OrderSig    []byte       `json:"order_sig,omitempty"`
}

// AskToAttend returns what binds the key of a run by asking who is at the
// other end of the connection: the key goes out in a line, the mandate comes
// in in one. No secret of the examiner's comes to the host. left is called when
// the other end closes the connection's way in: it wants the run to end.
func AskToAttend(in io.Reader, out io.Writer, left func()) func(ssh.PublicKey) (bundle.Mandate, error) {
	return func(key ssh.PublicKey) (bundle.Mandate, error) {
		if _, err := fmt.Fprintf(out, "%s%s", AttendPrefix, bundle.CollectorPub(key)); err != nil {
			return bundle.Mandate{}, err
		}
		line, err := bufio.NewReaderSize(io.LimitReader(in, maxMandate), 64<<10).ReadBytes('\n')
		if err != nil {
			return bundle.Mandate{}, errors.New("nobody at the other end signed for the key of this run")
		}
		var a answer
		if err := json.Unmarshal(line, &a); err != nil {
			return bundle.Mandate{}, fmt.Errorf("the answer to the request for a signature cannot be read: %w", err)
		}
		go func() {
			if _, err := io.Copy(io.Discard, in); err == nil {
				left()
			}
		}()
		return bundle.Mandate{Grade: a.Grade, Statement: a.Statement, Certificate: a.Certificate, Order: a.Order, OrderSig: a.OrderSig}, nil
	}
}

// Attend answers such a request: the examiner signs for the key that a host
// has sent.
func Attend(id *chainofcustody.Identity, exhibit string, o *Order) func(line []byte) ([]byte, error) {
	mandate := Mandate(id, exhibit, o)
	return func(line []byte) ([]byte, error) {
		key, _, _, rest, err := ssh.ParseAuthorizedKey(line)
		if err != nil || len(rest) > 0 || key.Type() != ssh.KeyAlgoED25519 {
			return nil, errors.New("what the host wants to have signed is no key of a run")
		}
		m, err := mandate(key)
		if err != nil {
			return nil, err
		}
		return json.Marshal(answer{m.Grade, m.Statement, m.Certificate, m.Order, m.OrderSig})
	}
}
