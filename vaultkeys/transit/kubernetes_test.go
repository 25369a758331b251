package transit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"strongroom/internal/vaulttest"
	"strongroom/vaultkeys"
)

// cluster answers what Vault asks of Kubernetes: whether a service account's
// token is real (TokenReview, authentication.k8s.io/v1).
type cluster struct {
	*httptest.Server
	reviewer string                 // the token of who may ask
	valid    atomic.Pointer[string] // the one token that is real
	reviews  atomic.Int64
}

func newCluster(t testing.TB) *cluster {
	c := &cluster{reviewer: serviceToken(t, "vault")}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /apis/authentication.k8s.io/v1/tokenreviews", c.review)
	c.Server = httptest.NewTLSServer(mux)
	t.Cleanup(c.Close)
	return c
}

func (c *cluster) review(w http.ResponseWriter, r *http.Request) {
	c.reviews.Add(1)
	var asked struct {
		Spec struct{ Token string } `json:"spec"`
	}
	if r.Header.Get("Authorization") != "Bearer "+c.reviewer || json.NewDecoder(r.Body).Decode(&asked) != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	status := map[string]any{"authenticated": false}
	if asked.Spec.Token == *c.valid.Load() {
		status = map[string]any{"authenticated": true, "user": map[string]any{
			"username": "system:serviceaccount:production:strongroom", "uid": accountUID,
			"groups": []string{"system:serviceaccounts", "system:authenticated"},
		}}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status})
}

const accountUID = "d77f89bc-9055-11e7-a068-0800276d99bf"

// serviceToken makes a token as Kubernetes projects it into a pod. Vault has no
// key to verify it: it asks the cluster.
func serviceToken(t testing.TB, account string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	must(t, err)
	token, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:production:" + account,
		"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "jti": time.Now().String(),
		"kubernetes.io": map[string]any{"namespace": "production", "serviceaccount": map[string]any{"name": account, "uid": accountUID}},
	}).Serialize()
	must(t, err)
	return token
}

// issue makes a token the one that is real.
func (c *cluster) issue(t testing.TB) string {
	token := serviceToken(t, "strongroom")
	c.valid.Store(&token)
	return token
}

func TestKubernetesLogin(t *testing.T) {
	v := ownVault(t)
	k8s := newCluster(t)
	v.Mount(t, "auth/kubernetes")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k8s.Certificate().Raw})
	v.Call(t, "POST", "auth/kubernetes/config", map[string]any{
		"kubernetes_host": k8s.URL, "kubernetes_ca_cert": string(ca), "token_reviewer_jwt": k8s.reviewer, "disable_local_ca_jwt": true,
	})
	v.Call(t, "POST", "auth/kubernetes/role/strongroom", map[string]any{
		"bound_service_account_names": "strongroom", "bound_service_account_namespaces": "production",
		"token_policies": []string{everydayPolicy, lifecyclePolicy}, "token_ttl": "1h",
	})
	path := vaulttest.WriteFile(t, "jwt", k8s.issue(t))
	c := v.config(t)
	c.Auth = Auth{Method: MethodKubernetes, Role: "strongroom", JWTFile: path}
	p := v.works(t, c)
	if k8s.reviews.Load() == 0 {
		t.Error("Vault asked Kubernetes nothing")
	}

	// Kubernetes exchanges the file while the pod runs.
	key := v.newKey(t, p)
	wrapped := sealed(t, p, key)
	must(t, os.WriteFile(path, []byte(k8s.issue(t)), 0o600))
	v.Call(t, "POST", "auth/token/revoke", map[string]any{"token": p.everyday.client.Token()})
	opens(t, p, key, wrapped)

	// A token that the cluster does not know, and a role that there is not.
	k8s.issue(t)
	_, err := Open(t.Context(), c)
	wantError(t, err, vaultkeys.ErrRefused, "login of the everyday identity")
	c.Auth.Role = "another"
	_, err = Open(t.Context(), c)
	wantError(t, err, vaultkeys.ErrRefused, "these credentials are not accepted")
}
