package ionodeadline

import (
	"bufio"
	"net"
	"time"
)

func greetingRepaired() (string, error) {
	conn, err := net.DialTimeout("tcp", listener.Addr().String(), time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Millisecond))
	return bufio.NewReader(conn).ReadString('\n')
}

// Repaired gives every connection a deadline.
func Repaired() {
	listen()
	for i := 0; i < 3; i++ {
		go greetingRepaired()
	}
}
