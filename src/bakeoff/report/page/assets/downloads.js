function save(name) {
  const { dataset, textContent } = $(`file-${name}`);
  const address = URL.createObjectURL(new Blob([textContent], { type: `${dataset.kind};charset=utf-8` }));
  const link = document.createElement('a');
  link.href = address;
  link.download = `${facts.study.replace(/[^\w.-]+/g, '-')}-${name}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

function startDownloads() {
  for (const button of document.querySelectorAll('[data-file]')) button.addEventListener('click', () => save(button.dataset.file));
}
