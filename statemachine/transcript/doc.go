// Package transcript is the language in which stories of an alarm panel are told: by the tests of
// the rules, by a panel's black box, and by somebody who asks why it rang. A transcript is text,
// line by line:
//
//	# Somebody comes home.                                     for the reader
//	rules contacts=front,back exit=45s entry=30s siren=180s rings=3
//	0s start armed, desired 7 seen, back waits                 a run of the panel, and what its journal held
//	0.2s front closed                                          an event
//	3h1m front open  # 2026-11-21T23:10:04.123+01:00           the same, with a remark
//	    front: entry delay started                             what the panel made of it
//	    journal: armed, desired 7 seen, entering, back waits
//	    state: entry_delay
//	3h1m20s key disarm
//	5h stop
//
// # Lines
//
// "rules" are the household's choices, any of the five of them; they hold from the next beginning of a run.
// Without any, the panel has one contact, "door", and [statemachine.DefaultRules].
//
// A line that begins with a time is an event. The time counts from the beginning of the story, and never goes back:
//
//	CONTACT closed|open|fault        a contact's debounced reading
//	desired N armed|disarmed         version N of the desired document was read
//	desired unreadable               it was refused, or no boolean
//	desired none                     the hub says that there is no desired document
//	panel arm|disarm                 a command at the panel
//	key arm|disarm                   the key switch: a command at the panel, too
//	time passes                      what is due happens
//	power cut                        the panel restarts with what its journal holds
//	start SAVED                      a run of the panel begins, with what its journal held, and times begin anew
//	stop                             the run ends in an orderly way; only a start can follow
//
// SAVED is "armed" or "disarmed" and what else the journal has, in the words of the answers. A start at another
// time than 0s is the beginning of a text that was cut out of a longer one.
//
// Lines with four spaces in front are answers: what happened, what goes to the journal, what the siren does, the new state.
// "at 40s:" marks what happened by itself between two events. [Play] makes them anew. Everything from a # on is for
// the reader, but a remark behind an event may begin with the wall clock's time, as RFC 3339 has it, and behind a version
// of desired go on with whose wish it was:
//
//	3h2m desired 8 disarmed  # 2026-11-21T23:11:04.123+01:00 by Anna's phone
//
// # Exactness
//
// In a story without a start, what is due happens at its very time. A real panel's clock is a little late, and an
// event can come in between; so in a run that begins with a start, what is due happens with the next line if that is
// no later than [Late]. With a line for each time the panel's clock rang, a transcript is played as it happened.
package transcript
