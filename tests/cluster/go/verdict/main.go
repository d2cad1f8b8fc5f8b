// Verdict says what GitOps tools think of objects: the statuses of kstatus, as its authors keep it and as Flux and Helm have
// it, and the health that a script gives in the Lua interpreter of Argo CD.
//
// Usage: verdict SCRIPT <objects, JSON, one after the other >verdicts, one line of JSON each
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	flux "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kstatus "sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	script, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var object unstructured.Unstructured
		if err := in.Decode(&object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		ours, err := kstatus.Compute(&object)
		if err != nil {
			return err
		}
		theirs, err := flux.Compute(&object)
		if err != nil {
			return err
		}
		health, err := argo(string(script), object.Object)
		if err != nil {
			return err
		}
		err = out.Encode(map[string]verdict{
			"kstatus": {ours.Status.String(), ours.Message},
			"flux":    {theirs.Status.String(), theirs.Message},
			"argocd":  health,
		})
		if err != nil {
			return err
		}
	}
}

// argo runs the script as Argo CD 3 does (util/lua/lua.go): with the basic and the table library and no other, the object
// as the global obj, and what the script returns as the health. Not here: os.time and os.date, which Argo CD lends too.
func argo(script string, object map[string]any) (verdict, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	state.SetGlobal("obj", value(state, object))
	if err := state.DoString(script); err != nil {
		return verdict{}, err
	}
	health, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return verdict{}, fmt.Errorf("the script returned %s instead of a table", state.Get(-1).Type())
	}
	return verdict{lua.LVAsString(health.RawGetString("status")), lua.LVAsString(health.RawGetString("message"))}, nil
}

// value is JSON data as Lua has it: every number is one of its numbers, null is nil.
func value(state *lua.LState, from any) lua.LValue {
	switch from := from.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, each := range from {
			table.RawSetString(key, value(state, each))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, each := range from {
			table.Append(value(state, each))
		}
		return table
	case int64:
		return lua.LNumber(from)
	case float64:
		return lua.LNumber(from)
	case string:
		return lua.LString(from)
	case bool:
		return lua.LBool(from)
	default:
		return lua.LNil
	}
}
