"use strict";
// What is saved as a file, of every page that has downloads.
const save = (file, type, text) => { const a = document.createElement("a"); a.download = file; a.href = URL.createObjectURL(text instanceof Blob ? text : new Blob([text], { type })); a.click(); setTimeout(() => URL.revokeObjectURL(a.href), 1000); };
