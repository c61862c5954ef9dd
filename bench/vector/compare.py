"""Nearest-neighbour search of evident, Faiss (IVF with RaBitQ codes, re-ranked) and hnswlib on the same vectors, in turns.

    bench/vector/run DATA

Every side answers the same queries, one at a time, on one thread. A round runs every setting of every side once, so that
what else the machine does falls on all of them; of each query's rounds the least CPU time of the thread counts. Recall@10 is
against exact inner products in float32. The last table compares at equal recall: our CPU time between the two settings
around a peer's recall, on the line through them in log time.
"""
import argparse
import json
import math
import os
import shutil
import subprocess
import time

import faiss
import hnswlib
import numpy as np

K = 10


class Ours:
    name = "evident"

    def __init__(self, program, data, work):
        index = f"{work}/index"
        shutil.rmtree(index, ignore_errors=True)
        self.process = subprocess.Popen([program, "serve", "-from", data, "-index", index], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        words = self.process.stdout.readline().split()
        self.built, self.bytes, self.resident = float(words[1]), int(words[2]), int(words[3])

    def run(self, setting, queries):
        self.process.stdin.write(f"run {K} {setting}\n")
        self.process.stdin.flush()
        a = json.loads(self.process.stdout.readline())
        return np.array(a["ms"]), a["ids"]


class Faiss:
    """IVF with 1-bit RaBitQ codes; the best R by code are compared in float32, as faiss.IndexRefineFlat does."""
    name = "Faiss IVF+RaBitQ"

    def __init__(self, x, lists, refine):
        start = time.process_time()
        faiss.omp_set_num_threads(2)
        quantizer = faiss.IndexFlatIP(x.shape[1])
        self.ivf = faiss.IndexIVFRaBitQ(quantizer, x.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
        self.rotation = faiss.RandomRotationMatrix(x.shape[1], x.shape[1])
        self.rotation.init(7)
        turned = self.rotation.apply(x)
        self.ivf.train(turned[np.random.default_rng(1).permutation(len(x))[:lists * 64]])
        self.ivf.add(turned)
        self.ivf.qb = 8
        self.built, self.x, self.refine = time.process_time() - start, x, refine
        self.resident = (x.shape[1] / 8 + 8 + 8) * len(x) + 4 * lists * x.shape[1]
        faiss.omp_set_num_threads(1)

    def run(self, setting, queries):
        self.ivf.nprobe = setting
        took, ids = [], []
        for q in queries:
            start = time.thread_time()
            _, near = self.ivf.search(self.rotation.apply(q[None]), self.refine)
            near = near[0][near[0] >= 0]
            scores = self.x[near] @ q
            ids.append(near[np.argsort(-scores)[:K]].tolist())
            took.append(1000 * (time.thread_time() - start))
        return np.array(took), ids


class HNSW:
    name = "hnswlib"

    def __init__(self, x):
        start = time.process_time()
        self.index = hnswlib.Index("ip", x.shape[1])
        self.index.init_index(len(x), M=16, ef_construction=100)
        self.index.set_num_threads(2)
        self.index.add_items(x)
        self.index.set_num_threads(1)
        self.built = time.process_time() - start
        self.resident = len(x) * (4 * x.shape[1] + 4 * 33 + 8)

    def run(self, setting, queries):
        self.index.set_ef(setting)
        took, ids = [], []
        for q in queries:
            start = time.thread_time()
            near, _ = self.index.knn_query(q[None], k=K, num_threads=1)
            took.append(1000 * (time.thread_time() - start))
            ids.append(near[0].tolist())
        return np.array(took), ids


def exact(x, queries):
    return [set(np.argpartition(-(x @ q), K)[:K].tolist()) for q in queries]


def at_recall(curve, recall):
    """CPU time at a recall, between the two settings around it; None beyond them."""
    curve = sorted(curve)
    for (r0, t0), (r1, t1) in zip(curve, curve[1:]):
        if r0 <= recall <= r1:
            share = (recall - r0) / (r1 - r0) if r1 > r0 else 0
            return math.exp(math.log(t0) * (1 - share) + math.log(t1) * share)
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--skip-hnsw", action="store_true")
    args = parser.parse_args()
    dim = int(open(f"{args.data}/dim").read())
    x = np.fromfile(f"{args.data}/vectors.f32", dtype=np.float32).reshape(-1, dim)
    queries = np.fromfile(f"{args.data}/queries.f32", dtype=np.float32).reshape(-1, dim)
    truth = exact(x, queries)
    ours = Ours(args.ours, args.data, args.work)
    lists = max(1, min(int(2 * len(x) ** 0.5), len(x) // 128))
    sides = [(ours, [4, 8, 16, 32, 64, 128, 256]), (Faiss(x, lists, 100), [4, 8, 16, 32, 64, 128, 256])]
    if not args.skip_hnsw:
        sides.append((HNSW(x), [16, 32, 64, 128, 256, 512]))
    best, recalls = {}, {}
    for _ in range(args.rounds):
        for side, settings in sides:
            for setting in settings:
                took, ids = side.run(setting, queries)
                key = (side.name, setting)
                best[key] = np.minimum(best[key], took) if key in best else took
                recalls[key] = sum(len(truth[i] & set(ids[i])) for i in range(len(queries))) / (K * len(queries))
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown CPU")
    print(f"{len(x)} vectors of {dim}, {lists} lists, {len(queries)} queries, least of {args.rounds} rounds; {cpu}, load {os.getloadavg()[0]:.0f}\n")
    print("| | setting | recall@10 | p50 ms | p99 ms |\n|---|---|---|---|---|")
    for side, settings in sides:
        for s in settings:
            took = np.sort(best[side.name, s])
            print(f"| {side.name} | {s} | {recalls[side.name, s]:.3f} | {np.median(took):.3f} | {took[int(len(took) * .99)]:.3f} |")
    print("\n| | CPU s to build | bytes a vector resident |\n|---|---|---|")
    for side, _ in sides:
        print(f"| {side.name} | {side.built:.0f} | {side.resident / len(x):.0f} |")
    curve = [(recalls[ours.name, s], float(np.median(best[ours.name, s]))) for s in sides[0][1]]
    print("\n| peer | at recall | its p50 ms | ours | ratio |\n|---|---|---|---|---|")
    for side, settings in sides[1:]:
        for s in settings:
            recall, theirs = recalls[side.name, s], float(np.median(best[side.name, s]))
            mine = at_recall(curve, recall)
            if mine and 0.8 <= recall < 0.9995:  # at 1 the settings differ, the recall does not
                print(f"| {side.name} | {recall:.3f} | {theirs:.3f} | {mine:.3f} | {theirs / mine:.2f} |")
    ours.process.stdin.close()
    ours.process.wait()


if __name__ == "__main__":
    main()
