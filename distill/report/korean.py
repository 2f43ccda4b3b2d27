"""The Korean of the report: English text -> Korean text, with the same `{names}`.

A value may end in any letter, so no particle that depends on it (은/는, 이/가, 을/를) follows one.
"""

from __future__ import annotations

from .schema import Headline

TITLES = {
    "Quality against latency": "품질과 지연 시간",
    "Models": "모델 비교",
    "Parity": "일치 검증",
    "Precision search": "정밀도 탐색",
    "Quality in detail": "품질 상세",
    "Against the teacher": "교사 모델과의 비교",
    "By length, label and language": "길이·레이블·언어별 결과",
    "Where student and teacher disagree": "학생 모델과 교사 모델이 다르게 답한 예",
    "Latency": "지연 시간",
    "Size and memory": "크기와 메모리",
    "Teacher and student": "교사 모델과 학생 모델",
    "Layers of teacher and student": "교사 모델과 학생 모델의 층",
    "Data": "데이터",
    "Training": "학습",
    "Cost": "비용",
    "Environment": "측정 환경",
    "How to load it": "불러오는 방법",
    "How to make it again": "재현하는 방법",
    "Commands": "명령",
    "The resolved recipe": "확정된 레시피",
    "Compression report": "모델 압축 보고서",
    "Contents": "목차",
    "Skip to the content": "본문으로 건너뛰기",
    "{name}: compression report": "{name}: 모델 압축 보고서",
    "{name}: what the compression kept, and what it gained": "{name}: 압축으로 지킨 것과 얻은 것",
    "Agreement with the teacher on held-out text": "따로 떼어 둔 텍스트에서 교사 모델과의 일치도",
    "{title}, n = {n}": "{title}, n = {n}",
    "{title} by language, {metric}": "언어별 {title}, {metric}",
    "{title}, smaller vectors": "{title}, 더 작은 벡터",
    "{title}, F1 of each": "{title}, 레이블별 F1",
    "by length": "길이별",
    "by label": "레이블별",
    "by language": "언어별",
}
COLUMNS = {
    "Model": "모델",
    "Set": "평가 세트",
    "Sets": "평가 세트",
    "Metric": "지표",
    "Examples": "예제 수",
    "Retained": "유지율",
    "Difference": "차이",
    "95% interval": "95% 신뢰구간",
    "p": "p값",
    "File MB": "파일 크기(MB)",
    "Params": "매개변수",
    "Faster": "속도 향상",
    "withheld": "공개 보류",
    "Batch": "배치",
    "Sequence": "토큰 길이",
    "Threads": "스레드",
    "p50 ms": "p50(ms)",
    "p50\u00a0ms, {cell}": "p50(ms), {cell}",
    "p90 ms": "p90(ms)",
    "p99 ms": "p99(ms)",
    "CPU ms": "CPU 시간(ms)",
    "Runs": "측정 횟수",
    "Sentences/s": "초당 문장 수",
    "File or folder": "파일 또는 폴더",
    "Load ms": "로딩 시간(ms)",
    "Peak memory MB": "최대 메모리(MB)",
    "Reference": "비교 기준",
    "Gate": "통과 기준",
    "Passed": "통과",
    "yes": "예",
    "no": "아니요",
    "NO": "실패",
    "Correlation": "상관계수",
    "Equal decisions": "같은 판정 비율",
    "Max abs. error": "최대 절대 오차",
    "Mean cosine": "평균 코사인",
    "Min cosine": "최소 코사인",
    "Batch invariance": "배치 불변성",
    "Quantized nodes": "양자화된 노드",
    "Stage": "단계",
    "Steps": "스텝",
    "Epochs": "에폭",
    "Time": "시간",
    "Precision": "정밀도",
    "Best dev value": "최고 dev 값",
    "at step": "해당 스텝",
    "End": "종료",
    "stopped early": "조기 종료",
    "ran to the end": "끝까지 학습",
    "Languages": "언어",
    "Language": "언어",
    "Label": "레이블",
    "Characters": "글자 수",
    "Teacher": "교사 모델",
    "Dimensions": "차원",
    "Numbers": "숫자 형식",
    "Bytes a vector": "벡터당 바이트",
    "{precision}, rescored": "{precision}, 재점수",
    "Mean of the languages": "언어 평균",
    "Agreement, {metric}": "일치도, {metric}",
    ", {n} threads": ", 스레드 {n}개",
}
FACTS = {
    "Teacher fine-tuned in this run": "이번 실행에서 미세조정한 교사 모델",
    "Teacher layers": "교사 모델 층 수",
    "Teacher width": "교사 모델 은닉 차원",
    "Teacher parameters": "교사 모델 매개변수",
    "Longest input": "최대 입력 길이",
    "Prompt": "프롬프트",
    "Unit-length vectors": "단위 길이 벡터",
    "Student made from": "학생 모델의 출발점",
    "Layers kept (from 0)": "남긴 층(0부터)",
    "Student width": "학생 모델 은닉 차원",
    "Student parameters": "학생 모델 매개변수",
    "Linear bridge": "선형 연결층",
    "kept in the student: its vectors live in the teacher's space": "학생 모델에 유지: 벡터가 교사 모델의 공간에 놓입니다",
    "used for training alone": "학습에만 사용",
    "none: the widths agree": "없음: 두 모델의 차원이 같습니다",
    "{layers} of {n}": "{layers} (전체 {n}개 층)",
    "{n} tokens": "토큰 {n}개",
    "{total} ({embedding} embeddings, {encoder} encoder)": "{total} (임베딩 {embedding}, 인코더 {encoder})",
    "Training text": "학습 텍스트",
    "Sentences read": "읽은 문장",
    "Used for training": "학습에 사용",
    "Held out (dev)": "따로 떼어 둠(dev)",
    "Duplicates dropped": "제외한 중복 문장",
    "Removed: also in an evaluation set": "제외: 평가 세트에도 있는 문장",
    "Removed: also in dev": "제외: dev에도 있는 문장",
    "Made by augmentation, among those used": "사용한 문장 중 증강으로 만든 것",
    "Too short / too long": "너무 짧음 / 너무 김",
    "Malformed rows skipped": "건너뛴 잘못된 행",
    "Queries without a relevant document, left out": "제외: 관련 문서가 없는 질의",
    "Fit texts that are also tested, left out": "제외: 시험에도 쓰이는 학습 텍스트",
    "Labels": "레이블",
    "Labelled by the teacher in this run": "이번 실행에서 교사 모델이 처리한 문장",
    "Labels reused from the store": "저장소에서 재사용한 교사 출력",
    "Losses": "손실 함수",
    "{name} (weight {weight})": "{name} (가중치 {weight})",
    " and {n} more": " 외 {n}개",
    "Sentences through the teacher or its store": "교사 모델 또는 저장소를 거친 문장",
    "Training time": "학습 시간",
    "Total time": "전체 시간",
    "Peak memory of training": "학습 중 최대 메모리",
    "Time per stage": "단계별 시간",
    "Packages": "패키지",
    "Seed": "시드",
    "Run started": "실행 시작",
    "best {metric} {value}": "최고 {metric} {value}",
    "; then ": ", 이어서 ",
    "; it lies in {path}/": ", 위치: {path}/",
    "rows": "행",
    "steps": "스텝",
    "CPU flags": "CPU 명령어 집합",
    "System": "운영체제",
    "Machine": "아키텍처",
    "Cores": "코어",
    "Cores logical": "논리 코어",
    "Cores physical": "물리 코어",
    "Cpu quota": "CPU 할당량",
    "Memory GB": "메모리(GB)",
    "Load before": "측정 전 부하",
    "Load after": "측정 후 부하",
    "Container": "컨테이너",
    "max abs": "최대 절대 오차",
    "label agreement": "같은 판정 비율",
    "correlation": "상관계수",
}
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
    "The student in full precision": "원래 정밀도의 학생 모델은",
    "the model that was distilled, PyTorch fp32": "지식을 전해 준 원본 모델, PyTorch fp32",
    "the distilled model, PyTorch fp32": "지식을 물려받은 모델, PyTorch fp32",
    "ONNX, full precision": "ONNX, 원래 정밀도",
    "ONNX, 8-bit weights and activations: smallest and quickest on CPUs with int8 dot products": (
        "ONNX, 8비트 가중치와 활성값: int8 내적 명령을 갖춘 CPU에서 가장 작고 빠릅니다"
    ),
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
METRICS = {
    "Spearman of pair similarities": "문장 쌍 유사도의 스피어만 상관계수",
    "Spearman of cosine": "코사인 유사도의 스피어만 상관계수",
    "Pearson of cosine": "코사인 유사도의 피어슨 상관계수",
    "Spearman of Euclidean": "유클리드 거리의 스피어만 상관계수",
    "Pearson of Euclidean": "유클리드 거리의 피어슨 상관계수",
    "Spearman of Manhattan": "맨해튼 거리의 스피어만 상관계수",
    "Pearson of Manhattan": "맨해튼 거리의 피어슨 상관계수",
    "Spearman of dot product": "내적의 스피어만 상관계수",
    "Pearson of dot product": "내적의 피어슨 상관계수",
    "Top-10 neighbour overlap": "최근접 이웃 10개의 겹침",
    "Spearman of pair similarities, dev": "문장 쌍 유사도의 스피어만 상관계수(dev)",
    "Mean cosine to the teacher, dev": "교사 모델과의 평균 코사인(dev)",
    "Spearman of cosine, labelled dev set": "코사인 유사도의 스피어만 상관계수(레이블이 있는 dev)",
    "Translations found": "번역 찾기 정확도",
    "Text finds translation": "원문에서 번역 찾기",
    "Translation finds text": "번역에서 원문 찾기",
    "MRR, text to translation": "MRR, 원문 → 번역",
    "MRR, translation to text": "MRR, 번역 → 원문",
    "Finds the teacher's text": "교사 모델의 원문 찾기",
    "MRR to the teacher's texts": "교사 모델의 원문에 대한 MRR",
    "Mean cosine to the teacher's text": "교사 모델의 원문과의 평균 코사인",
    "nDCG@10": "nDCG@10",
    "MRR@10": "MRR@10",
    "Recall@10": "재현율@10",
    "Recall@100": "재현율@100",
    "Mean average precision": "평균 정밀도의 평균(MAP)",
    "nDCG@10 in the teacher's index": "교사 모델 색인에서의 nDCG@10",
    "Accuracy": "정확도",
    "Macro F1": "매크로 F1",
    "Micro F1": "마이크로 F1",
    "Matthews correlation": "매튜스 상관계수",
    "All labels right": "모든 레이블 정답 비율",
    "Root mean squared error": "평균 제곱근 오차",
    "Recall": "재현율",
    "F1": "F1",
    "Accuracy of tags": "태그 정확도",
    "Entities": "개체 수",
    "Exact match": "완전 일치",
    "Exact match, low end": "완전 일치, 구간 하한",
    "Exact match, high end": "완전 일치, 구간 상한",
    "F1, with an answer": "F1, 답이 있는 질문",
    "F1, without an answer": "F1, 답이 없는 질문",
    "Equal predictions": "같은 예측 비율",
    "Equal labels": "같은 레이블 비율",
    "The task's metric on the dev set": "dev 세트의 과제 지표",
    "Mean cosine of text and translation": "원문과 번역의 평균 코사인",
    "Accuracy of a classifier on the vectors": "벡터로 학습한 분류기의 정확도",
    "Spearman of the values": "예측값의 스피어만 상관계수",
    "Pearson of the values": "예측값의 피어슨 상관계수",
    "Spearman of the two models' values": "두 모델 예측값의 스피어만 상관계수",
    "Entity F1": "개체 F1",
    "Macro F1 of entity types": "개체 유형별 매크로 F1",
    "Equal tags": "같은 태그 비율",
    "F1 of answers": "답변 F1",
    "Equal answers": "같은 답변 비율",
    "Semantic textual similarity": "의미 유사도",
    "Translation retrieval": "번역 검색",
    "Transfer of a classifier": "분류기 전이",
    "Information retrieval": "정보 검색",
    "spearman": "스피어만 상관계수",
    "loss": "손실",
}
KOREAN = TITLES | COLUMNS | FACTS | WORDS | PICTURES | NOTES | VERDICTS | STATUS | METRICS


def clauses(who: str, headline: Headline, metric: str, share: str) -> str:
    """The headline in sentences.

    Args:
        who: the subject with its particle.
        headline: its numbers.
        metric: the metric's name.
        share: what is kept, as a percentage.
    """
    kept = None
    if headline.retained is not None and headline.task == "agreement":
        kept = f"교사 모델과 {share} 일치합니다({metric}, 따로 떼어 둔 텍스트)."
    elif headline.retained is not None:
        kept = f"교사 모델 품질의 {share}를 유지합니다({metric}, {headline.task})."
    size = _times(headline.smaller, ("작", "큽"))
    speed = _times(headline.faster, ("빠릅", "느립"))
    stems = {"작": "작고", "큽": "크고"}
    ends = {"작": "작습니다", "큽": "큽니다", "빠릅": "빠릅니다", "느립": "느립니다"}
    if size and speed:
        gained = f"크기는 {size[0]}배 {stems[size[1]]}, 속도는 {speed[0]}배 {ends[speed[1]]}."
    elif size:
        gained = f"크기는 {size[0]}배 {ends[size[1]]}."
    elif speed:
        gained = f"속도는 {speed[0]}배 {ends[speed[1]]}."
    else:
        gained = ""
    if kept is None and not gained:
        return f"{who} 통과 기준을 만족했지만, 교사 모델과 비교할 수 있는 값이 없습니다."
    if kept is None:
        return f"{who} 교사 모델보다 {gained}"
    return f"{who} {kept}" + (f" 교사 모델보다 {gained}" if gained else "")


def _times(value: float | None, ways: tuple[str, str]) -> tuple[str, str] | None:
    """How many times, and which way: the first for more, the second for less."""
    if not value:
        return None
    return (f"{value:.1f}", ways[0]) if value >= 0.995 else (f"{1 / value:.1f}", ways[1])
