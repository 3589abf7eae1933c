// Google's own fake of Pub/Sub, for tests of its clients, on the port of this machine that is given.
package main

import (
	"log"
	"os"
	"strconv"

	"cloud.google.com/go/pubsub/v2/pstest"
)

func main() {
	port, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := pstest.NewServerWithPort(port)
	log.Print(server.Addr)
	select {}
}
