package interop

import _ "github.com/chromedp/chromedp"
