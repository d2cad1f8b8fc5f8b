### make cluster-up CLUSTER=kind

# What the API server logs for the tests
cat >/cache/clusters/cbc0bc/audit-policy.json <<'END'
{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}]}
END

# One node; the state folder lies at the same path in it
cat >/cache/clusters/cbc0bc/kind.yaml <<'END'
{
  "apiVersion": "kind.x-k8s.io/v1alpha4",
  "kind": "Cluster",
  "name": "fl-cbc0bc",
  "nodes": [
    {
      "role": "control-plane",
      "image": "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5",
      "extraMounts": [
        {
          "hostPath": "/cache/clusters/cbc0bc",
          "containerPath": "/cache/clusters/cbc0bc",
          "readOnly": false
        },
        {
          "hostPath": "/cache/nvml/0123456789ab",
          "containerPath": "/cache/nvml/0123456789ab",
          "readOnly": true
        }
      ],
      "kubeadmConfigPatchesJSON6902": [
        {
          "group": "kubeadm.k8s.io",
          "version": "v1beta4",
          "kind": "ClusterConfiguration",
          "patch": "[{\"op\": \"add\", \"path\": \"/apiServer/extraArgs/-\", \"value\": {\"name\": \"audit-policy-file\", \"value\": \"/cache/clusters/cbc0bc/audit-policy.json\"}}, {\"op\": \"add\", \"path\": \"/apiServer/extraArgs/-\", \"value\": {\"name\": \"audit-log-path\", \"value\": \"/cache/clusters/cbc0bc/audit.log\"}}, {\"op\": \"add\", \"path\": \"/apiServer/extraArgs/-\", \"value\": {\"name\": \"audit-log-maxsize\", \"value\": \"4096\"}}, {\"op\": \"add\", \"path\": \"/apiServer/extraVolumes\", \"value\": [{\"name\": \"fairlead\", \"hostPath\": \"/cache/clusters/cbc0bc\", \"mountPath\": \"/cache/clusters/cbc0bc\", \"readOnly\": false, \"pathType\": \"Directory\"}]}]"
        }
      ]
    }
  ]
}
END

# A node of kindest/node:v1.37.0
kind create cluster --config=/cache/clusters/cbc0bc/kind.yaml --kubeconfig=/cache/clusters/cbc0bc/admin.kubeconfig --wait=5m

# Image of the device plugin
docker build --tag=localhost/fairlead/device-plugin:1 --file=REPOSITORY/tests/cluster/deviceplugin/Dockerfile REPOSITORY/tests

# The device plugin's image, into the node
kind load docker-image --name=fl-cbc0bc localhost/fairlead/device-plugin:1

# The device plugin
cat >/cache/clusters/cbc0bc/device-plugin.json <<'END'
{
 "apiVersion": "apps/v1",
 "kind": "DaemonSet",
 "metadata": {
  "name": "fake-gpus",
  "namespace": "kube-system",
  "labels": {
   "app.kubernetes.io/name": "fake-gpus"
  }
 },
 "spec": {
  "selector": {
   "matchLabels": {
    "app.kubernetes.io/name": "fake-gpus"
   }
  },
  "template": {
   "metadata": {
    "labels": {
     "app.kubernetes.io/name": "fake-gpus"
    }
   },
   "spec": {
    "automountServiceAccountToken": false,
    "priorityClassName": "system-node-critical",
    "tolerations": [
     {
      "operator": "Exists"
     }
    ],
    "containers": [
     {
      "name": "device-plugin",
      "image": "localhost/fairlead/device-plugin:1",
      "args": [
       "--gpus=/cache/clusters/cbc0bc/gpus",
       "--library=/cache/nvml/0123456789ab/libnvidia-ml.so.1",
       "--health=/cache/clusters/cbc0bc/unhealthy-gpus"
      ],
      "securityContext": {
       "allowPrivilegeEscalation": false,
       "readOnlyRootFilesystem": true,
       "capabilities": {
        "drop": [
         "ALL"
        ]
       }
      },
      "volumeMounts": [
       {
        "name": "kubelet",
        "mountPath": "/var/lib/kubelet/device-plugins",
        "readOnly": false
       },
       {
        "name": "state",
        "mountPath": "/cache/clusters/cbc0bc",
        "readOnly": true
       }
      ]
     }
    ],
    "volumes": [
     {
      "name": "kubelet",
      "hostPath": {
       "path": "/var/lib/kubelet/device-plugins",
       "type": "Directory"
      }
     },
     {
      "name": "state",
      "hostPath": {
       "path": "/cache/clusters/cbc0bc",
       "type": "Directory"
      }
     }
    ]
   }
  }
 }
}
END

# The device plugin, applied
kubectl --kubeconfig=/cache/clusters/cbc0bc/admin.kubeconfig apply --server-side --filename=/cache/clusters/cbc0bc/device-plugin.json

# 5 GPUs
kubectl --kubeconfig=/cache/clusters/cbc0bc/admin.kubeconfig wait node/fl-cbc0bc-control-plane '--for=jsonpath={.status.allocatable.nvidia\.com/gpu}=5' --timeout=5m

### make cluster-up CLUSTER=kind, after the machine was started anew

# The node again
docker start fl-cbc0bc-control-plane

### make images CLUSTER=kind

# Image of the operator
docker build --tag=localhost/fairlead/operator:1 --file=REPOSITORY/operator/Dockerfile REPOSITORY/operator

# Image of the engine
docker build --tag=localhost/fairlead/vllm-cpu:1 --file=REPOSITORY/runtime/images/vllm.Dockerfile --build-arg=BASE=docker.io/vllm/vllm-openai-cpu:v0.32.0-x86_64 REPOSITORY/runtime/agent

# Image of the sidecar
docker pull docker.io/envoyproxy/envoy:distroless-v1.40.0

# Images, into the node
kind load docker-image --name=fl-cbc0bc localhost/fairlead/operator:1 localhost/fairlead/vllm-cpu:1 docker.io/envoyproxy/envoy:distroless-v1.40.0

# The tiny model
docker run --rm --network=none --user=1000:1000 --env=HOME=/tmp --volume=/cache/clusters/cbc0bc/models:/models --volume=REPOSITORY/tests/cluster/images/make_tiny_model.py:/script.py:ro --entrypoint=python3 localhost/fairlead/vllm-cpu:1 -I /script.py /models/tiny

# The chart's values
cat >/cache/clusters/cbc0bc/values.yaml <<'END'
{
  "images": {
    "operator": "localhost/fairlead/operator:1",
    "sidecar": "docker.io/envoyproxy/envoy:distroless-v1.40.0",
    "engines": {
      "vllm": {
        "0.32.0": "localhost/fairlead/vllm-cpu:1"
      }
    }
  }
}
END

### make cluster-down CLUSTER=kind

# The node's end
kind delete cluster --name=fl-cbc0bc --kubeconfig=/cache/clusters/cbc0bc/admin.kubeconfig
