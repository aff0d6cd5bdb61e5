package collectors

import (
	"context"
	"strings"
)

// Limits of what a host full of containers has: one log, one database.
const (
	maxContainerLog   = 1 << 30
	maxContainerState = 256 << 20
)

// containerDefinitions is the table of what engines and Kubernetes keep on
// disk. Layers and images are not in it: an image is in its registry, and what
// a container changed is looked for by itself.
func containerDefinitions(e engines) []definition {
	defs := nodeSecrets(e)
	defs = append(defs, dockerFiles(e), containerdFiles(e), storageFiles(e))
	defs = append(defs, kubernetesFiles(e)...)
	for i := range defs {
		if defs[i].max == 0 {
			defs[i].max = maxContainerState
		}
		defs[i].quiet = true
	}
	return defs
}

// escapeGlob makes a pattern of a path that a configuration names.
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`, "{", `\{`, "}", `\}`, ",", `\,`).Replace(s)
}

func below(roots []string, names ...string) []string {
	var out []string
	for _, root := range roots {
		for _, name := range names {
			out = append(out, escapeGlob(root)+name)
		}
	}
	return out
}

// nodeSecrets come first, before what holds them.
func nodeSecrets(e engines) []definition {
	return []definition{
		{rule: "secrets and tokens of pods", patterns: below(e.kubelet,
			"/pods/*/volumes/kubernetes.io~secret/**", "/pods/*/volumes/kubernetes.io~projected/*/token", "/pods/*/volumes/kubernetes.io~projected/*/..*/token",
			"/pki/**", "/bootstrap-kubeconfig", "/kubeconfig"), take: takeHashed},
		{rule: "credentials of engines", patterns: append(below(e.docker, "/swarm/certificates/*.key", "/swarm/docker-state.json"),
			"/run/containers/*/auth.json", "/run/user/*/containers/auth.json", "/root/.docker/config.json", "~/.docker/config.json", "~/.config/containers/auth.json", "/etc/crio/*auth*.json"), take: takeHashed},
		{rule: "credentials of Kubernetes", patterns: []string{
			"/etc/kubernetes/*.conf", "/etc/kubernetes/**/*kubeconfig*", "/etc/rancher/{k3s,rke2}/*.yaml", "/var/lib/rancher/{k3s,rke2}/server/{token,node-token,agent-token,cred/**}", "/var/lib/rancher/{k3s,rke2}/agent/*.kubeconfig", "/etc/rancher/node/password",
		}, take: takeHashed},
		{rule: "keys of Kubernetes", patterns: []string{"/etc/kubernetes/{pki,ssl}/**", "/var/lib/rancher/{k3s,rke2}/{server/tls,agent}/{*,*/*}.{key,crt}"}, take: takeUnlessSecret},
		{rule: "databases of Kubernetes", patterns: []string{"/var/lib/etcd/**", "/var/lib/rancher/{k3s,rke2}/server/db/**"}, take: takeHashed},
	}
}

func dockerFiles(e engines) definition {
	return definition{rule: "docker state", patterns: below(e.docker,
		"/containers/*/{config.v2.json,hostconfig.json,resolv.conf,resolv.conf.hash,hosts,hostname}", "/containers/*/checkpoints/**", "/containers/*/mounts/**",
		"/containers/*/*.log*", "/containers/*/local-logs/*",
		"/image/*/repositories.json", "/image/*/imagedb/{content,metadata}/sha256/**", "/image/*/distribution/**",
		"/image/*/layerdb/{mounts,sha256}/*/{mount-id,init-id,parent,diff,cache-id,size}",
		"/network/files/*", "/volumes/metadata.db", "/volumes/*", "/engine-id", "/plugins/*/config.json", "/runtimes/*",
		"/swarm/{state.json,worker/tasks.db,raft/**,certificates/*.crt}", "/buildkit/*", "/trust/**", "/overlay2/*/{link,lower,committed}"), max: maxContainerLog}
}

func containerdFiles(e engines) definition {
	d := definition{rule: "containerd state", max: maxContainerLog}
	for _, dir := range e.containerd {
		d.patterns = append(d.patterns, below([]string{dir.root},
			"/io.containerd.metadata.v1.bolt/meta.db", "/io.containerd.snapshotter.v1.*/metadata.db", "/io.containerd.grpc.v1.cri/{containers,sandboxes}/*/*",
			"/io.containerd.grpc.v1.introspection/*", "/io.containerd.snapshotter.v1.*/snapshots/*")...)
		if dir.state != "" {
			d.patterns = append(d.patterns, below([]string{dir.state},
				"/io.containerd.runtime.v*/*/*/{config.json,init.pid,options.json,runtime,address,bootstrap.json,log.json,shim-binary-path,work,shim.pid}",
				"/io.containerd.grpc.v1.cri/{containers,sandboxes}/*/*")...)
		}
	}
	d.patterns = append(d.patterns, "/run/{runc,crun,docker/runtime-runc/*,containerd/runc/*}/*/{state.json,status,config.json}", "/run/docker/containerd/*.pid", "/run/{docker,containerd,dockerd}.pid")
	return d
}

func storageFiles(e engines) definition {
	d := definition{rule: "podman and CRI-O state", max: maxContainerLog}
	for _, dir := range e.storage {
		d.patterns = append(d.patterns, below([]string{dir.graph},
			"/*-containers/containers.json", "/*-containers/volatile-containers.json", "/*-images/images.json", "/*-layers/{layers,volatile-layers}.json", "/*-images/*/*",
			"/*-containers/*/userdata/{config.json,state.json,hosts,hostname,resolv.conf,ctr.log*,attach,pidfile,conmon.pid,exit,*.json}",
			"/libpod/*.db*", "/db.sql*", "/libpod/defaultNetworkBackend", "/volumes/*", "/defaultNetworkBackend", "/overlay/*/{link,lower}", "/overlay/.has-mount-program", "/secrets/secrets.json", "/networks/**")...)
		if dir.run != "" {
			d.patterns = append(d.patterns, below([]string{dir.run},
				"/*-containers/*/userdata/{config.json,state.json,hosts,hostname,resolv.conf,pidfile,conmon.pid,oci-log,run/.containerenv}", "/*-layers/mountpoints.json")...)
		}
	}
	d.patterns = append(d.patterns, "/run/{crio,libpod}/**", "/run/user/*/{libpod,containers}/**2", "/var/lib/crio/**2", "/var/lib/containers/cache/*",
		"/etc/containers/**", "/usr/share/containers/**2", "/etc/crio/**", "/usr/share/containers/systemd/**", "~/.config/containers/**", "/etc/containers/systemd/**", "/run/containers/systemd/**")
	return d
}

func kubernetesFiles(e engines) []definition {
	return []definition{
		{rule: "logs of pods", patterns: []string{"/var/log/{pods,crio}/**", "/var/log/kubernetes/**", "/var/log/kube-apiserver/**", "/var/log/audit/kube*/**"}, max: maxContainerLog},
		// Links to logs of pods: both ends are evidence, the content is there once.
		{rule: "logs of containers", patterns: []string{"/var/log/containers/*"}, asLinks: true, max: maxContainerLog},
		{rule: "kubelet state", patterns: append(below(e.kubelet,
			"/config.yaml", "/config", "/kubeadm-flags.env", "/{cpu,memory}_manager_state", "/instance-config.yaml", "/actuated_pods_state", "/allocated_pods_state", "/checkpoints/**", "/device-plugins/*", "/pod-resources/*", "/plugins_registry/*", "/plugins/*",
			"/pods/*/etc-hosts", "/pods/*/{containers,plugins}/**3", "/pods/*/volumes/*/*", "/pods/*/volumes/kubernetes.io~{configmap,downward-api}/**", "/pods/*/volumes/kubernetes.io~projected/*/**", "/pods/*/volume-subpaths/**3"), "/etc/default/kubelet", "/etc/sysconfig/kubelet")},
		{rule: "kubernetes configuration", patterns: []string{
			"/etc/kubernetes/**", "/etc/{cni,containerd,docker}/**", "/var/lib/cni/**", "/run/{cni,flannel,calico,cilium}/**3", "/etc/calico/**",
			"/var/lib/rancher/{k3s,rke2}/{server/manifests,agent/etc,agent/pod-manifests,agent/images}/**", "/var/lib/rancher/{k3s,rke2}/data/current", "/var/lib/rancher/{k3s,rke2}/agent/{logs/**,containerd/containerd.log*}", "/var/lib/kube-proxy/*",
		}, take: takeUnlessSecret},
	}
}

// takeHashed leaves a secret out and says what its hash is: whether two hosts
// have the same, or whether one found elsewhere is this one, can then be told.
// A tried guess can be told too, so that this is for what nobody guesses.
func takeHashed(ctx context.Context, w *pathWalk, name, rule string) error {
	if w.secrets == TakeSecrets {
		return w.out.File(ctx, name, rule)
	}
	st, err := w.tree.Stat(name)
	if err != nil {
		return w.out.File(ctx, name, rule) // records why
	}
	hasher := &fileWalk{host: w.host, hashes: hashPolicy{maxProgram: maxContainerState}}
	detail := rule + " are left out unless ordered"
	if st.Size > maxContainerState {
		return w.note(ctx, name, rule, detail, st)
	}
	sum, why := hasher.hash(ctx, name, st)
	if sum != "" {
		detail += "; SHA-256 of the file: " + sum
	} else if why != "" {
		detail += "; not hashed: " + why
	}
	return w.note(ctx, name, rule, detail, st)
}
