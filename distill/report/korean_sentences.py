"""The Korean of what a report says: words and sentences of tables, pictures, notes and verdicts."""

WORDS = {
    "teacher": "교사 모델",
    "student": "학생 모델",
    "start model": "출발 모델",
    "gold": "정답",
    "the teacher": "교사 모델",
    "smaller": "더 작음",
    "larger": "더 큼",
    "faster": "더 빠름",
    "slower": "더 느림",
    "not known": "알 수 없음",
    "agreement": "일치도",
    "held-out text": "따로 떼어 둔 텍스트",
    "agreement with the teacher": "교사 모델과의 일치도",
    "of the teacher's quality kept": "교사 모델 대비 품질",
    "(95% interval {low} to {high})": "(95% 신뢰구간 {low}~{high})",
    "one sentence of 32 tokens, 1 thread": "32토큰 문장 1개, 스레드 1개",
    "batch 1, sequence 32, 1 thread": "배치 1, 토큰 32개, 스레드 1개",
    "logits": "로짓",
    "sentence embedding": "문장 임베딩",
    "The file '{name}'": "'{name}' 파일은",
    "The int8 student": "int8 학생 모델은",
    "The student in mixed precision": "혼합 정밀도의 학생 모델은",
    "The near-lossless 8-bit student": "거의 손실이 없는 8비트 학생 모델은",
    "The student with 8-bit weights": "8비트 가중치의 학생 모델은",
    "The student in full precision": "원래 정밀도의 학생 모델은",
    "the model that was distilled, PyTorch fp32": "지식을 전해 준 원본 모델, PyTorch fp32",
    "the distilled model, PyTorch fp32": "지식을 물려받은 모델, PyTorch fp32",
    "ONNX, full precision": "ONNX, 원래 정밀도",
    "ONNX, 8-bit weights and activations: smallest and quickest on CPUs with int8 dot products": (
        "ONNX, 8비트 가중치와 활성값: int8 내적 명령을 갖춘 CPU에서 가장 작고 빠릅니다"
    ),
    "ONNX, 8-bit weights, fp32 once they are loaded: the same results on every machine and in browsers": "ONNX, 파일에서는 8비트 가중치, 불러온 뒤에는 fp32: 모든 기기와 브라우저에서 결과가 같습니다",
    "ONNX, 8-bit weights: nearly lossless, alike on every CPU": "ONNX, 8비트 가중치: 손실이 거의 없고 모든 CPU에서 결과가 같습니다",
    "ONNX, the quickest mix of precisions inside a budget of quality": "ONNX, 품질 예산 안에서 가장 빠른 정밀도 조합",
    "ONNX, half precision, for GPUs": "ONNX, 반정밀도, GPU용",
    "Group": "묶음",
    "Chosen": "선택",
    "Nodes": "노드 수",
    "ms in fp32": "fp32(ms)",
    "ms as chosen": "선택 후(ms)",
    "Harm as chosen": "선택 후 손실",
    "Other forms: harm": "다른 형태의 손실",
    "8-bit blocks": "8비트 블록",
    "int8, scale a token": "int8, 토큰별 척도",
    "int8, fixed scale": "int8, 고정 척도",
    "8-bit rows": "8비트 행",
    "8-bit LSTM": "8비트 LSTM",
    "Budget: {budget}. Judged on {rows} dev rows, never on a test set.": (
        "예산: {budget}. dev 예제 {rows}개로 판단했으며 테스트 세트는 쓰지 않았습니다."
    ),
    "at most {share} of the fp32 file's dev metric lost": "fp32 파일의 dev 지표에서 최대 {share}까지 손실 허용",
    "mean cosine to the fp32 file of at least {cosine} on dev text": "dev 텍스트에서 fp32 파일과의 평균 코사인 {cosine} 이상",
    "{metric}: {before} in fp32, {after} as chosen; lost {lost}.": "{metric}: fp32 {before}, 선택 후 {after}, 손실 {lost}.",
    "Products of one sentence of 32 tokens, timed on this machine: {costs}.": (
        "32토큰 문장 하나의 행렬 곱 시간, 이 컴퓨터에서 측정: {costs}."
    ),
    "Products of one sentence of 32 tokens, counted in multiplications, since timing was of no use: {costs}.": (
        "32토큰 문장 하나의 행렬 곱, 측정값을 쓸 수 없어 곱셈 횟수로 계산: {costs}."
    ),
    "Harm: 1 - mean cosine to fp32 when this group alone is turned. Turned in the order of time saved per harm; {count} mixes "
    "were judged as a whole, and the last one inside was taken.": (
        "손실은 그 묶음만 바꾸었을 때의 1 - fp32와의 평균 코사인입니다. 손실 대비 절약한 시간이 큰 순서로 바꾸었고, 조합 {count}개를 "
        "통째로 판단해 예산 안의 마지막 조합을 골랐습니다."
    ),
    "The file {name} as it is was quicker and inside: it was taken.": "{name} 파일 그대로가 더 빠르고 예산 안이어서 그것을 골랐습니다.",
    "There is none.": "없습니다.",
    "{n} more": "{n}개 더 보기",
    "Nothing was recorded.": "기록된 내용이 없습니다.",
    "Note: {note}.": "참고: {note}.",
    "Points of 100.": "100점 만점 기준입니다.",
    "nothing yet": "아직 없음",
    "data": "데이터",
    "signals": "교사 출력",
    "start signals": "출발 모델 출력",
    "finetune": "교사 미세조정",
    "training": "학습",
    "onnx": "ONNX 변환",
    "parity": "일치 검증",
    "quality": "품질 평가",
    "measure": "속도 측정",
    "report": "보고서",
}
PICTURES = {
    "{metric}, {task} (points of 100)": "{metric}, {task} (100점 만점)",
    "median ms, {cell}, log scale": "중앙값(ms), {cell}, 로그 눈금",
    "{name}: {quality} at {ms} ms": "{name}: {ms}ms에 {quality}점",
    "{name}: from {first} to {last}": "{name}: {first}에서 {last}까지",
    "optimizer steps": "옵티마이저 스텝",
    "Loss terms, weighted": "가중치를 적용한 손실 항목",
    "best {value}": "최고 {value}",
    "File, MB": "파일 크기(MB)",
    "Peak memory, MB": "최대 메모리(MB)",
    "weights copied, layer to layer (from 0): {pairs}": "가중치를 복사한 층(0부터): {pairs}",
    "stage '{stage}' learns, layer from layer: {pairs}": "'{stage}' 단계에서 보고 배운 층: {pairs}",
    "Further left is faster, higher is better. Bars are 95% intervals: of the quality by bootstrap, of the median latency by "
    "the order of its runs. The line joins the models that no other beats in both.": (
        "왼쪽일수록 빠르고 위쪽일수록 품질이 좋습니다. 막대는 95% 신뢰구간입니다(품질은 부트스트랩, 지연 시간 중앙값은 측정값의 순서로 "
        "구했습니다). 점선은 두 가지 모두에서 앞서는 모델이 없는 모델들을 잇습니다."
    ),
    "Not drawn, for want of parity: {names}.": "일치 검증을 통과하지 못해 그리지 않은 모델: {names}.",
    "Fewer than two models have both a quality and a latency, so there is nothing to draw.": (
        "품질과 지연 시간을 모두 아는 모델이 둘보다 적어 그릴 것이 없습니다."
    ),
    "Shorter is better.": "짧을수록 좋습니다.",
    "No size is known.": "크기를 알 수 없습니다.",
    "Solid lines: weights that the student took over. Dashed lines: layers that it learns from. Pale: left out.": (
        "실선: 학생 모델이 물려받은 가중치. 점선: 학생 모델이 보고 배우는 층. 흐린 칸: 쓰지 않은 층."
    ),
    "First the dev metric that chooses the checkpoint, then every term of the loss with its weight. Dashed lines part the stages.": (
        "먼저 체크포인트를 고르는 dev 지표, 이어서 가중치를 적용한 손실 항목입니다. 점선은 단계의 경계입니다."
    ),
    "No training steps were logged.": "기록된 학습 스텝이 없습니다.",
}
NOTES = {
    "Quality in points of 100, with its 95% bootstrap interval. MB = 1,000,000 bytes.": (
        "품질은 100점 만점이며 괄호 안은 부트스트랩 95% 신뢰구간입니다. 1MB = 1,000,000바이트."
    ),
    "p50: median milliseconds from token ids to {output} on the CPU, every variant in a process of its own. "
    "1×32 is one text of 32 tokens. Faster: teacher in PyTorch / model, at {cell}.": (
        "p50: CPU에서 토큰 ID를 받아 결과({output})를 낼 때까지 걸린 시간의 중앙값(ms)이며, 모델마다 별도 프로세스에서 쟀습니다. "
        "1×32는 32토큰짜리 텍스트 1개를 뜻합니다. 속도 향상: PyTorch 교사 모델의 시간 ÷ 해당 모델의 시간, {cell} 기준."
    ),
    "{mark} measured while the machine was disturbed (wall time well above CPU time, a wide spread, or high load).": (
        "{mark} 컴퓨터가 다른 작업으로 불안정할 때 측정했습니다(경과 시간이 CPU 시간보다 훨씬 길거나, 편차가 크거나, 부하가 높음)."
    ),
    "p99 is given from 100 runs on.": "p99는 100회 이상 측정했을 때만 표시합니다.",
    "The interval is that of the median, as if runs did not hang together; every run stands in samples.csv.": (
        "신뢰구간은 각 측정이 서로 독립이라고 보고 구한 중앙값의 구간입니다. 모든 측정값은 samples.csv에 있습니다."
    ),
    "Paths are relative to the run folder. Peak memory: of the whole process, libraries included, over the timed grid.": (
        "경로는 실행 폴더 기준입니다. 최대 메모리는 라이브러리를 포함한 프로세스 전체가 측정 중에 쓴 양입니다."
    ),
    "Both models answer the same examples, so they are compared example by example (paired bootstrap). Difference: model "
    "minus teacher, in points of 100. p: how often chance alone makes a difference so large; below 0.05 it is hardly "
    "chance. Many rows make a small p more likely somewhere.": (
        "두 모델이 같은 예제에 답하므로 예제별로 짝지어 비교했습니다(대응 부트스트랩). 차이: 해당 모델의 점수에서 교사 모델의 점수를 뺀 "
        "값(100점 만점). p값: 우연만으로 이만한 차이가 날 확률로, 0.05보다 작으면 우연으로 보기 어렵습니다. 행이 많을수록 그중 하나의 "
        "p값이 우연히 작아지기 쉽습니다."
    ),
    "Retained: of the teacher's whole float32 vectors. int8 takes its range from dev text; binary keeps signs; rescored: "
    "the first sentence keeps its full vector.": (
        "유지율은 교사 모델의 전체 float32 벡터 대비입니다. int8의 범위는 dev 텍스트로 정하고, binary는 부호만 남깁니다. 재점수는 첫 "
        "문장의 벡터를 그대로 두고 비교한 것입니다."
    ),
    "{n} more that occur less often are not shown.": "이보다 드문 {n}개는 표시하지 않았습니다.",
    "Each set in parts, in points of 100; the interval is that of the difference, paired. Parts of fewer than 10 examples "
    "have no numbers. Small parts have wide intervals: look at the interval before the number.": (
        "평가 세트를 나누어 본 결과입니다(100점 만점). 신뢰구간은 예제별로 짝지은 차이의 구간입니다. 예제가 10개보다 적으면 값을 표시하지 "
        "않습니다. 예제가 적을수록 구간이 넓으니 값보다 구간을 먼저 보세요."
    ),
    "The sentences whose vectors are furthest from the teacher's, of {n}; the number is their cosine. {count} are below 0.5.": (
        "문장 {n}개 중 벡터가 교사 모델과 가장 먼 문장입니다. 숫자는 코사인 유사도이며, 0.5보다 낮은 문장은 {count}개입니다."
    ),
    "The examples that '{model}' puts furthest from where the teacher puts them in the order of all {n}.": (
        "예제 {n}개를 줄 세웠을 때 '{model}' 모델의 순위가 교사 모델의 순위와 가장 많이 달라진 예입니다."
    ),
    "The examples on which '{model}' finds less than the teacher: {count} of {n}, the worst first.": (
        "'{model}' 모델이 교사 모델보다 덜 찾은 예입니다. 모두 {n}개 중 {count}개이며, 차이가 큰 것부터 보여 줍니다."
    ),
    "'{model}' and the teacher differ on {count} of {n} examples; these are the worst.": (
        "예제 {n}개 중 {count}개에서 '{model}' 모델과 교사 모델의 답이 다릅니다. 차이가 큰 것부터 보여 줍니다."
    ),
    "Paths are relative to the run folder, the one that holds this report.": "경로는 이 보고서가 있는 실행 폴더 기준입니다.",
    "In the run folder: its recipe.yaml holds the seed and everything that the run chose by itself; manifest.json holds the "
    "versions and the hashes of what went in and came out.": (
        "실행 폴더에서 실행하세요. recipe.yaml에는 시드와 실행 중에 자동으로 정해진 값이, manifest.json에는 패키지 버전과 입력·출력의 "
        "해시가 들어 있습니다."
    ),
    "Python, with sentence-transformers (PyTorch)": "Python, sentence-transformers 사용(PyTorch)",
    "Python, with distill-toolkit (no torch)": "Python, distill-toolkit 사용(torch 불필요)",
    "Python, with transformers (PyTorch)": "Python, transformers 사용(PyTorch)",
    "Python, with onnxruntime alone": "Python, onnxruntime만 사용",
    "Node, with transformers.js": "Node, transformers.js 사용",
    "Made by distill-toolkit {version}. The same numbers, for programs: report.json; every timed run: samples.csv.": (
        "distill-toolkit {version} 버전으로 만들었습니다. 프로그램용 수치는 report.json, 모든 시간 측정값은 samples.csv에 있습니다."
    ),
}
VERDICTS = {
    "No exported file passed its gate.": "통과 기준을 만족한 내보내기 파일이 없습니다.",
    "Every exported file passed its parity gate ({n} of {n}).": "내보낸 파일이 모두 일치 검증을 통과했습니다({n}개 중 {n}개).",
    "Failed its parity gate: {names}.": "일치 검증을 통과하지 못한 파일: {names}.",
    "No exported file was checked.": "검증한 내보내기 파일이 없습니다.",
    "no gate noted": "기준이 기록되지 않음",
    "its parity was not checked, so it gets no speed": "일치 검증을 하지 않아 속도를 표시하지 않습니다",
    "failed its parity gate ({gate}), so it gets no speed": "일치 검증({gate})을 통과하지 못해 속도를 표시하지 않습니다",
    "its reference '{name}' failed the parity gate, so it gets no speed": (
        "비교 기준인 '{name}' 파일이 일치 검증을 통과하지 못해 속도를 표시하지 않습니다"
    ),
    "no exported file passed its gate, so there is nothing to compare with the teacher": (
        "통과 기준을 만족한 파일이 없어 교사 모델과 비교할 것이 없습니다"
    ),
    "the quality of '{name}' on {task} was not measured": "{task} 세트에서 '{name}' 모델의 품질을 측정하지 않았습니다",
    "the teacher has no positive value on {task} to compare with": "{task} 세트에서 교사 모델의 값이 0보다 크지 않아 비교할 수 없습니다",
    "the teacher is {n} models; file and speed are those of {name} alone, so smaller and faster are told too low": (
        "교사 모델은 모델 {n}개를 합친 것이고, 파일 크기와 속도는 그중 {name} 하나의 값이므로 크기와 속도의 비율이 실제보다 낮게 나옵니다"
    ),
    "the teacher is {n} models; parameters, file and speed are those of all, run one after the other": (
        "교사 모델은 모델 {n}개를 합친 것이고, 매개변수와 파일 크기는 모두 더한 값이며 속도는 차례로 모두 실행한 값입니다"
    ),
    "{name} ({n} models)": "{name} (모델 {n}개)",
    "{name}: parameters and MB are sums; times and memory are those of all, loaded together and run one after the other.": (
        "{name}: 매개변수와 MB는 모두 더한 값이고, 시간과 메모리는 모델을 모두 불러와 차례로 실행한 값입니다."
    ),
    "the file size of {name} is unknown": "파일 크기를 알 수 없습니다: {name}",
    "{name} was not timed at {cell}": "이 조건에서 측정하지 않았습니다: {name}, {cell}",
    "the speed was measured on a disturbed machine; measure again when it is calm": (
        "컴퓨터가 불안정할 때 속도를 쟀습니다. 다른 작업이 없을 때 다시 측정하세요"
    ),
}
STATUS = {
    "This run is still going, and this page is written again as its stages finish.": (
        "실행이 아직 진행 중입니다. 단계가 끝날 때마다 이 페이지를 다시 씁니다."
    ),
    "This run is not finished: it is still going, or was cut off. The same command goes on with it.": (
        "실행이 끝나지 않았습니다. 진행 중이거나 중간에 멈췄습니다. 같은 명령을 다시 실행하면 이어서 진행합니다."
    ),
    "Done: {done}. Left: {left}.": "완료: {done}. 남은 단계: {left}.",
    "Written {time} (UTC).": "작성 시각: {time}(UTC).",
    "Not yet: the stage '{stage}' is still to come.": "아직 없습니다. '{stage}' 단계가 남아 있습니다.",
    "{file} is missing: {lost}.": "{file} 파일이 없습니다: {lost}.",
    "{file} is damaged: {lost}.": "{file} 파일이 손상되었습니다: {lost}.",
    "{file} is damaged ({place}): {lost}.": "{file} 파일이 손상되었습니다({place}): {lost}.",
    "{file} cannot be read here ({place}): {lost}.": "{file} 파일을 여기서 읽을 수 없습니다({place}): {lost}.",
    "speed, load time and memory are not shown": "속도, 로딩 시간, 메모리를 표시하지 않습니다",
    "quality is not shown": "품질을 표시하지 않습니다",
    "no exported file counts as checked, so none gets a speed": "검증된 파일이 없는 것으로 보아 속도를 표시하지 않습니다",
    "the training curves are not whole": "학습 곡선이 온전하지 않습니다",
    "what this stage noted is not shown": "이 단계가 남긴 기록을 표시하지 않습니다",
    "what is made of it is not shown": "이 파일로 만드는 내용을 표시하지 않습니다",
}
SENTENCES = WORDS | PICTURES | NOTES | VERDICTS | STATUS
