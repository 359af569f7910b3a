// Package app is the phone app: a small server that shows a household its alarm and lets it arm and disarm.
//
// It speaks to any hub that has the vendor's REST API for twins, and uses nothing else of it. A [Watcher] reads the
// documents of one panel, shared by all who look, and makes a [View] of them: what is true, how old it is, and what was asked
// for. A [Server] shows views on a page, and takes wishes. A [Household] knows the passphrase and the phones that are signed in. A
// [Notifier] tells somebody who doesn't look.
//
//	hub ── API ── Watcher: facts ─ look ─► View ─┬─► Server ─► page
//	                 ▲                           └─► Notifier ─► Webhook, Program
//	                 └──────────── wishes ────────── Server
//
// What was learned, and when, is apart from what follows from it: facts are plain data, and one pure function makes the view of
// them and the time. The page is in no language but its files of words, and computes nothing but what a clock can count on.
//
// The page never shows what was asked for as what is, nor something old as something new. The panel's life is
// judged by whether the version of its document moves, on this computer's clock that nobody can set.
package app
