// A client waits for the greeting of a server that accepts connections and says nothing. Without
// a deadline it waits as long as the connection lives. A thousand of these are a suspect, or one
// that is old; fewer and younger ones are ordinary work. The wait can always end, so it is no
// proof of a leak.
//
// expect: site=net.(*netFD).Read created=samples/ionodeadline.Leak count=3 reason="IO wait" verdict=active
// expect: args="--threshold 3" site=net.(*netFD).Read created=samples/ionodeadline.Leak count=3 reason="IO wait" rule=io-no-deadline verdict=suspect
package ionodeadline

import (
	"bufio"
	"net"
)

var listener net.Listener

func listen() {
	var err error
	if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		panic(err)
	}
}

func greeting() (string, error) {
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return bufio.NewReader(conn).ReadString('\n')
}

// Leak lets three clients wait for a server that never accepts.
func Leak() {
	listen()
	for i := 0; i < 3; i++ {
		go greeting()
	}
}
