package twinclient

import (
	"bytes"
	"strings"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/twinpanel/twinpanel/twin"
)

// A fault is what a fakeHub does with a request instead of answering it.
type fault string

const (
	none        fault = ""
	refuse      fault = "answer with an error" // which is no fault of the connection
	lose        fault = "lose the answer"
	loseRequest fault = "lose the request"
	late        fault = "answer after the timeout"
	twice       fault = "answer twice"
	echoLater   fault = "answer, and once more during the next request"
	wrongTopic  fault = "answer on the topic of another document"
	idTopic     fault = "answer on the topic that names the device"
	rogueFirst  fault = "send other documents' answers before the answer"
	cut         fault = "close the connection"
	cutMid      fault = "close the connection within the answer"
	cutAfter    fault = "answer and close the connection"
	freeze      fault = "stop reading"
	huge        fault = "announce a packet of 256 MB"
	garbage     fault = "answer with something that is no document"
	qos1        fault = "answer at QoS 1"
)

// allFaults are those of the connection.
var allFaults = []fault{lose, loseRequest, late, twice, echoLater, wrongTopic, idTopic, rogueFirst,
	cut, cutMid, cutAfter, freeze, huge, garbage, qos1}

// misbehave answers, or does what the fault says.
func (c *hubConn) misbehave(what fault, topic twin.Topic, answer *packets.PublishPacket) bool {
	switch what {
	case none, refuse:
		c.send(answer)
	case lose, loseRequest:
		c.unanswered = topic.String()
	case late:
		c.unanswered = topic.String()
		c.hub.wg.Go(func() {
			select {
			case <-time.After(c.hub.timeout + time.Second):
				c.send(answer)
			case <-c.ended:
			}
		})
	case twice:
		c.send(answer)
		c.send(answer)
	case echoLater:
		c.echo = answer
		c.send(answer)
	case wrongTopic:
		c.unanswered = topic.String()
		answer.TopicName = strings.Replace(answer.TopicName, topic.Document, "other", 1)
		c.send(answer)
	case idTopic:
		c.unanswered = topic.String()
		answer.TopicName = strings.Replace(answer.TopicName, "/me/", "/"+string(deviceID)+"/", 1)
		c.send(answer)
	case rogueFirst:
		for _, m := range []twin.Method{twin.Get, twin.Put, twin.Patch} {
			for _, doc := range []string{"other", topic.Document} {
				if other := (twin.Topic{Twin: twin.Me, Document: doc, Method: m}); other != topic {
					c.send(message(other.Response(twin.Success).String(), `{"version":77,"data":{"rogue":true}}`))
					c.send(message(other.Response(twin.Error).String(), `{"error":"rogue"}`))
				}
			}
		}
		c.send(answer)
	case cut:
		return false
	case cutMid:
		var b bytes.Buffer
		answer.Write(&b)
		c.Write(b.Bytes()[:b.Len()-3])
		return false
	case cutAfter:
		c.send(answer)
		return false
	case freeze:
		time.Sleep(2 * c.hub.timeout)
		return false
	case huge:
		c.Write([]byte{0x30, 0xff, 0xff, 0xff, 0x7f})
	case garbage:
		c.unanswered = topic.String()
		answer.Payload = []byte(`{"version":"seven"}`)
		answer.TopicName = topic.Response(twin.Success).String()
		c.send(answer)
	case qos1:
		answer.Qos, answer.MessageID = 1, 1
		c.send(answer)
	}
	return true
}
