package hub

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/twinpanel/twinpanel/twin"
)

// Limits of one page of a list. The vendor has the highest; where it has the other, nobody says.
const (
	restPageSize    = 50 // where a request doesn't say
	restMaxPageSize = 100
)

// A restQuery is what a request for a list says after the question mark: which part of it,
// and in which order. What isn't there and what is empty are the same. The
// first thing that is wrong stays in err.
type restQuery struct {
	values url.Values
	err    error
}

func parseQuery(raw string) *restQuery {
	q := new(restQuery)
	var err error
	if q.values, err = url.ParseQuery(raw); err != nil {
		q.refuse("query", "format", "can't be read: write % as %25 and a semicolon as %3B")
	}
	return q
}

func (q *restQuery) refuse(name, reason, help string) {
	if q.err == nil {
		q.err = &twin.InvalidError{Argument: name, Reason: reason, Help: help}
	}
}

func (q *restQuery) text(name string) string { return q.values.Get(name) }

// id reads a UUID; empty = it isn't there.
func (q *restQuery) id(name string) twin.ID {
	text := q.text(name)
	if text == "" {
		return ""
	}
	id, err := restID(name, text)
	if err != nil {
		q.err = cmp.Or(q.err, err)
	}
	return id
}

// number reads a number from 1 to most.
func (q *restQuery) number(name string, standard, most int) int {
	text := q.text(name)
	if text == "" {
		return standard
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n < 1 || int(n) > most {
		q.refuse(name, "constraint", fmt.Sprintf("not a whole number from 1 to %d", most))
		return standard
	}
	return int(n)
}

// flag reads true or false; nil = neither is there.
func (q *restQuery) flag(name string) *bool {
	switch text := q.text(name); text {
	case "":
	case "true", "false":
		return new(text == "true")
	default:
		q.refuse(name, "format", "neither true nor false")
	}
	return nil
}

// choice reads one of several words. The first stands for none.
func (q *restQuery) choice(name string, words ...string) string {
	text := q.text(name)
	switch {
	case text == "":
		return words[0]
	case !slices.Contains(words, text):
		q.refuse(name, "unknown", "choose one of "+strings.Join(words, ", "))
	}
	return text
}

// A restOrder compares what stands in a list by one of its keys.
type restOrder[T any] struct {
	key     string
	compare func(a, b T) int
}

// restPage is the page of a list that a request wants: of all that stands in it, in the order of the first
// key where the request names none. What is equal stays in the order it has.
func restPage[T any](q *restQuery, all []T, orders ...restOrder[T]) []T {
	var words []string
	for _, o := range orders {
		words = append(words, o.key+"_asc", o.key+"_desc")
	}
	key, descends := strings.CutSuffix(q.choice("order_by", words...), "_desc")
	key = strings.TrimSuffix(key, "_asc")
	page, size := q.number("page", 1, 1<<31-1), q.number("page_size", restPageSize, restMaxPageSize)
	if q.err != nil {
		return nil
	}
	compare := orders[slices.IndexFunc(orders, func(o restOrder[T]) bool { return o.key == key })].compare
	slices.SortStableFunc(all, func(a, b T) int {
		if descends {
			a, b = b, a
		}
		return compare(a, b)
	})
	from := min((page-1)*size, len(all))
	return all[from:min(from+size, len(all))]
}
