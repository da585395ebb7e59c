const id = ['<<id:1[0..4]>>', '<<id:1[4..20]>>'].join('');
const secret = '<<secret:1>>';
