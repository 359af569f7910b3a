package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/twinpanel/twinpanel/twin"
)

// writers is how many write at the same time.
const writers = 8

// concurrencyChecks are about several writers of one document.
var concurrencyChecks = []check{
	{name: "of writers with the same version exactly one wins", run: func(c *client) {
		for _, write := range []writeFunc{c.Put, c.Patch} {
			name := c.name("a")
			version := c.put(name, 0, `{"winner":-1,"replaced":0}`).Version
			for range 4 {
				data := func(writer int) string { return fmt.Sprintf(`{"winner":%d,"replaced":%d}`, writer, version) }
				results := atOnce(func(i int) (twin.Document, error) {
					return write(c.ctx, name, update(version, data(i)))
				})
				winner := -1
				for i, r := range results {
					if r.err != nil {
						c.mismatch(r.doc, r.err)
						continue
					}
					if winner >= 0 {
						c.Fatalf("writers %d and %d both replaced version %d", winner, i, version)
					}
					winner = i
				}
				if winner < 0 {
					c.Fatalf("nobody replaced version %d", version)
				}
				c.want(results[winner].doc, version+1, data(winner))
				c.stored(name, version+1, data(winner))
				version++
			}
		}
	}},
	{name: "patches of different keys all survive", run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, `{"k":{}}`)
		results := atOnce(func(i int) (twin.Document, error) {
			return c.Patch(c.ctx, name, update(0, fmt.Sprintf(`{"k":{"w%d":%d}}`, i, i)))
		})
		c.oneAfterTheOther(results, 2)
		var all []string
		for i := range writers {
			all = append(all, fmt.Sprintf(`"w%d":%d`, i, i))
		}
		c.stored(name, writers+1, `{"k":{`+strings.Join(all, ",")+`}}`)
	}},
	{name: "puts without a version all have a version of their own", run: func(c *client) {
		name := c.name("a")
		results := atOnce(func(i int) (twin.Document, error) {
			return c.Put(c.ctx, name, update(0, fmt.Sprintf(`{"writer":%d}`, i)))
		})
		c.oneAfterTheOther(results, 1)
		for i, r := range results {
			c.want(r.doc, r.doc.Version, fmt.Sprintf(`{"writer":%d}`, i))
			if r.doc.Version == writers {
				c.stored(name, writers, fmt.Sprintf(`{"writer":%d}`, i))
			}
		}
	}},
	{name: "counting with versions loses nothing", run: func(c *client) {
		const each = 3
		name := c.name("a")
		c.put(name, 0, `{"n":0}`)
		results := atOnce(func(int) (doc twin.Document, err error) {
			for range each {
				if doc, err = c.increment(name); err != nil {
					return doc, err
				}
			}
			return doc, nil
		})
		for _, r := range results {
			if r.err != nil {
				c.Fatalf("counting: %v", r.err)
			}
		}
		c.stored(name, writers*each+1, fmt.Sprintf(`{"n":%d}`, writers*each))
	}},
	{name: "several writers add to an array with versions", run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, `{"list":[]}`)
		results := atOnce(func(i int) (twin.Document, error) {
			return c.retry(name, c.Patch, func(content map[string]any) string {
				list, _ := content["list"].([]any)
				more, _ := json.Marshal(map[string]any{"list": append(list, i)})
				return string(more)
			})
		})
		c.oneAfterTheOther(results, 2)
		content, _ := values(c.get(name).Data).(map[string]any)
		if list, _ := content["list"].([]any); len(list) != writers {
			c.Errorf("of %d writers, the array has %v", writers, list)
		}
	}},
}

// A result is what a request came to.
type result struct {
	doc twin.Document
	err error
}

// atOnce has all writers write at the same time.
func atOnce(write func(writer int) (twin.Document, error)) []result {
	results := make([]result, writers)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range results {
		all.Go(func() {
			<-start
			results[i].doc, results[i].err = write(i)
		})
	}
	close(start)
	all.Wait()
	return results
}

// oneAfterTheOther fails unless all writes succeeded, with versions in a row from first on.
func (c *client) oneAfterTheOther(results []result, first uint32) {
	c.Helper()
	var versions, want []uint32
	for i, r := range results {
		if r.err != nil {
			c.Fatalf("writer %d is refused: %v", i, r.err)
		}
		versions = append(versions, r.doc.Version)
		want = append(want, first+uint32(i))
	}
	slices.Sort(versions)
	if !slices.Equal(versions, want) {
		c.Errorf("answers have the versions %d, want %d", versions, want)
	}
}

// increment adds one to a document's n.
func (c *client) increment(name twin.Name) (twin.Document, error) {
	return c.retry(name, c.Put, func(content map[string]any) string {
		n, _ := strconv.Atoi(fmt.Sprint(content["n"]))
		return fmt.Sprintf(`{"n":%d}`, n+1)
	})
}

// retry changes a document as the specification has it: get, compute, write with the
// version; once more when somebody else was faster.
func (c *client) retry(name twin.Name, write writeFunc, change func(content map[string]any) string) (twin.Document, error) {
	for {
		doc, err := c.Get(c.ctx, name)
		if err != nil {
			return doc, err
		}
		content, _ := values(doc.Data).(map[string]any)
		doc, err = write(c.ctx, name, update(doc.Version, change(content)))
		if _, stale := errors.AsType[*twin.VersionError](err); !stale || c.ctx.Err() != nil {
			return doc, err
		}
	}
}
