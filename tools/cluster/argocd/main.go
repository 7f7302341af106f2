// What Argo CD itself makes of an object: its health and its actions by Argo's own Lua, and its difference from what is
// wanted by Argo's own diff. One question as JSON on standard input, one answer on standard output.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/gitops-engine/pkg/diff"
	"github.com/argoproj/gitops-engine/pkg/health"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	Object  *unstructured.Unstructured `json:"object"`
	Health  string                     `json:"health"`  // Lua, as in argocd-cm
	Actions string                     `json:"actions"` // YAML, as in argocd-cm
	Action  string                     `json:"action"`

	Config    *unstructured.Unstructured `json:"config"`
	Live      *unstructured.Unstructured `json:"live"`
	Predicted string                     `json:"predicted"` // what a dry run by server-side apply gave, as JSON
}

// The dry run has been made already, by kubectl.
type dryRun string

func (predicted dryRun) Run(context.Context, *unstructured.Unstructured, string) (string, error) {
	return string(predicted), nil
}

func (asked question) overrides() map[string]v1alpha1.ResourceOverride {
	key := lua.GetConfigMapKey(asked.Object.GroupVersionKind())
	return map[string]v1alpha1.ResourceOverride{key: {HealthLua: asked.Health, Actions: asked.Actions}}
}

func (asked question) vm() lua.VM {
	return lua.VM{ResourceOverrides: asked.overrides()}
}

func (asked question) health() (any, error) {
	return health.GetResourceHealth(asked.Object, lua.ResourceHealthOverrides(asked.overrides()))
}

func (asked question) discovery() (any, error) {
	vm := asked.vm()
	scripts, err := vm.GetResourceActionDiscovery(asked.Object)
	if err != nil {
		return nil, err
	}
	return vm.ExecuteResourceActionDiscovery(asked.Object, scripts)
}

func (asked question) action() (any, error) {
	vm := asked.vm()
	action, err := vm.GetResourceAction(asked.Object, asked.Action)
	if err != nil {
		return nil, err
	}
	impacted, err := vm.ExecuteResourceAction(asked.Object, action.ActionLua, nil)
	if err != nil {
		return nil, err
	}
	if len(impacted) != 1 || impacted[0].K8SOperation != lua.PatchOperation {
		return nil, fmt.Errorf("the action does not patch one object")
	}
	return impacted[0].UnstructuredObj, nil
}

func (asked question) difference() (any, error) {
	options := []diff.Option{}
	if asked.Predicted != "" {
		// Nobody's changes on the way in are overlooked, which Argo by default does.
		options = append(options, diff.WithServerSideDiff(true), diff.WithIgnoreMutationWebhook(false),
			diff.WithServerSideDryRunner(dryRun(asked.Predicted)))
	}
	found, err := diff.Diff(asked.Config, asked.Live, options...)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"modified":  found.Modified,
		"live":      json.RawMessage(found.NormalizedLive),
		"predicted": json.RawMessage(found.PredictedLive),
	}, nil
}

func answer() error {
	verbs := map[string]func(question) (any, error){
		"health": question.health, "discovery": question.discovery,
		"action": question.action, "diff": question.difference,
	}
	if len(os.Args) != 2 || verbs[os.Args[1]] == nil {
		return fmt.Errorf("usage: argocd health|discovery|action|diff < question.json")
	}
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return err
	}
	found, err := verbs[os.Args[1]](asked)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func main() {
	if err := answer(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
