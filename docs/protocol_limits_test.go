package docs_test

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// constants are the constants of a package by name, exported or not.
type constants map[string]ast.Expr

// readConstants reads the constants of a folder of this module.
func readConstants(t *testing.T, dir string) constants {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(dir), "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no Go files in %s: %v", dir, err)
	}
	all := constants{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			general, ok := d.(*ast.GenDecl)
			if !ok || general.Tok != token.CONST {
				continue
			}
			for _, s := range general.Specs {
				spec := s.(*ast.ValueSpec)
				for i, name := range spec.Names {
					if i < len(spec.Values) {
						all[name.Name] = spec.Values[i]
					}
				}
			}
		}
	}
	return all
}

// value is a constant's value; durations are in nanoseconds.
func (c constants) value(t *testing.T, name string) int64 {
	t.Helper()
	expr, ok := c[name]
	if !ok {
		t.Errorf("there is no constant %s", name)
		return 0
	}
	n, exact := constant.Int64Val(c.eval(t, expr))
	if !exact {
		t.Errorf("the constant %s is no whole number", name)
	}
	return n
}

var durations = map[string]time.Duration{"Minute": time.Minute, "Second": time.Second, "Millisecond": time.Millisecond}

// eval computes what limits are written with: numbers, other constants, time's units, and operators.
func (c constants) eval(t *testing.T, expr ast.Expr) constant.Value {
	t.Helper()
	switch e := expr.(type) {
	case *ast.BasicLit:
		return constant.MakeFromLiteral(e.Value, e.Kind, 0)
	case *ast.Ident:
		return constant.MakeInt64(c.value(t, e.Name))
	case *ast.SelectorExpr:
		if of := e.X.(*ast.Ident).Name; of != "time" { // a package of this module
			return constant.MakeInt64(readConstants(t, of).value(t, e.Sel.Name))
		}
		return constant.MakeInt64(int64(durations[e.Sel.Name]))
	case *ast.BinaryExpr:
		x, y := c.eval(t, e.X), c.eval(t, e.Y)
		if e.Op == token.SHL {
			n, _ := constant.Uint64Val(y)
			return constant.Shift(x, e.Op, uint(n))
		}
		return constant.BinaryOp(x, e.Op, y)
	}
	t.Fatalf("a limit is written with %T, which this test can't compute", expr)
	return nil
}
