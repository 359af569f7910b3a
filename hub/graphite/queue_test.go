package graphite

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// A queue that is full for long takes no more memory than it may, whatever is in it.
func TestQueueMemory(t *testing.T) {
	tests := map[string]func(i int) Point{
		"short points": func(i int) Point { return Point{Name: fmt.Sprint(i)} },
		"a tag of each point's own": func(i int) Point {
			return Point{Name: fmt.Sprint(i), Path: []string{fmt.Sprint(i)}, Tags: map[string]string{fmt.Sprint(i): fmt.Sprint(i)}}
		},
		"nine tags": func(i int) Point {
			tags := make(map[string]string)
			for n := range 9 {
				tags[fmt.Sprint(n, i)] = fmt.Sprint(i)
			}
			return Point{Name: fmt.Sprint(i), Tags: tags}
		},
		"long paths": func(i int) Point {
			return Point{Name: fmt.Sprint(i), Path: strings.Split(fmt.Sprint(i)+strings.Repeat(".k", 30), ".")}
		},
	}
	for name, point := range tests {
		t.Run(name, func(t *testing.T) {
			var q queue
			before := heap()
			for i, popped := 0, 0; popped < 40_000; i++ {
				q.push(point(i))
				for q.size > maxQueue {
					q.pop()
					popped++
				}
			}
			if took := heap() - before; took > maxQueue*11/10 {
				t.Errorf("%d points take %d bytes, want %d at most", q.len(), took, maxQueue)
			}
			runtime.KeepAlive(&q)
		})
	}
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
